"""`gsr run`: every lane's partitions in order, each a Dagster run in this process."""

import time

import dagster as dg
from rich.console import Console

from assets.recipes import Recipes
from gsr_dagster.automation import Lane, lanes
from gsr_dagster.experiment import Experiment
from resources.artifacts import ArtifactError, ArtifactKey, ArtifactStore
from resources.progress import terminal_bars

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def run_experiment(experiment: Experiment, store: ArtifactStore, console: Console) -> int:
    """Materialize every artifact that is not current, and return how many were.

    Raises ArtifactError, with the step and its error, where a run fails.
    """
    from gsr_dagster.definitions import build_definitions

    definitions = build_definitions(experiment)
    recipes = Recipes(experiment, store)
    count = 0
    with dg.DagsterInstance.get() as instance, terminal_bars() as bars:
        for lane in lanes(experiment):
            for partition in lane.partitions:
                stale = lane.stale(recipes, partition)
                if not stale:
                    continue
                started = time.monotonic()
                _materialize(definitions, instance, experiment, lane, partition, stale)
                count += len(stale)
                seconds = time.monotonic() - started
                done = f"{len(stale)} asset{'s' if len(stale) > 1 else ''} in {seconds:.0f} s"
                bars.console.print(f"{f'{lane.name} {partition}':<50} {done}", markup=False, highlight=False)
    return count


def _materialize(
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    experiment: Experiment,
    lane: Lane,
    partition: str,
    keys: list[ArtifactKey],
) -> None:
    result = definitions.resolve_job_def(lane.name).execute_in_process(
        run_config=QUIET,
        instance=instance,
        partition_key=partition or None,
        asset_selection=[dg.AssetKey(key.asset.split("/")) for key in keys],
        raise_on_error=False,
    )
    if not result.success:
        failed = [event for event in result.all_events if event.is_step_failure]
        causes = [f"{event.step_key}: {cause(event)}" for event in failed]
        causes += [f"{check.check_name}: {check.description}" for check in _blocked(result)]
        raise ArtifactError("\n".join([f"{lane.name} {partition} failed.", *causes]))


def _blocked(result: dg.ExecuteInProcessResult) -> list[dg.AssetCheckEvaluation]:
    """Return the checks that stopped the run and say why."""
    checks = result.get_asset_check_evaluations()
    return [c for c in checks if not c.passed and c.description and c.severity is dg.AssetCheckSeverity.ERROR]


def cause(event: dg.DagsterEvent) -> str:
    error = event.step_failure_data.error
    while error is not None and error.cause is not None:
        error = error.cause
    return error.message.strip() if error is not None else "no error was recorded"
