"""`gsr run`: every lane's partitions in order, each a Dagster run in this process."""

import os
import time
from collections.abc import Iterator

import dagster as dg
from dagster_shared.error import SerializableErrorInfo
from rich.console import Console
from rich.progress import Progress

from assets.recipes import Recipes
from gsr_dagster.automation import Lane, lanes
from gsr_dagster.experiment import Experiment
from resources.artifacts import ArtifactError, ArtifactStore, DamageError
from resources.manifests import ArtifactKey
from resources.progress import terminal_bars

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def run_experiment(experiment: Experiment, store: ArtifactStore, console: Console) -> int:
    """Materialize every artifact that is not current, and return how many were.

    Where a step finds a stored file damaged, the store is searched, what is damaged is
    dropped, and the run goes on by making it again. Raises ArtifactError, with the step
    and its error, where a run fails.
    """
    from gsr_dagster.definitions import build_definitions

    definitions = build_definitions(experiment)
    count, dropped = 0, set()
    with dg.DagsterInstance.get() as instance, terminal_bars() as bars:
        while True:
            try:
                for made in _materialize_stale(definitions, instance, experiment, store, bars):
                    count += made
                return count
            except DamageError:
                before = len(dropped)
                for name, fault in store.damage():
                    bars.console.print(f"{fault}. It is made again.", markup=False, highlight=False, soft_wrap=True)
                    store.objects.remove(name)
                    dropped.add(name)
                if len(dropped) == before:
                    raise


def _materialize_stale(
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    experiment: Experiment,
    store: ArtifactStore,
    bars: Progress,
) -> Iterator[int]:
    """Materialize what is not current, and yield the number of assets of each partition."""
    recipes = Recipes(experiment, store)
    for lane in lanes(experiment):
        for partition in lane.partitions:
            stale = lane.stale(recipes, partition)
            if not stale:
                continue
            started = time.monotonic()
            _materialize(definitions, instance, experiment, lane, partition, stale)
            seconds = time.monotonic() - started
            done = f"{len(stale)} asset{'s' if len(stale) > 1 else ''} in {seconds:.0f} s"
            bars.console.print(f"{f'{lane.name} {partition}':<50} {done}", markup=False, highlight=False)
            yield len(stale)


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
        damage = any((error := _root(event)) and error.cls_name == DamageError.__name__ for event in failed)
        failure = DamageError if damage else ArtifactError
        raise failure("\n".join([f"{lane.name} {partition} failed.", *causes]))


def _blocked(result: dg.ExecuteInProcessResult) -> list[dg.AssetCheckEvaluation]:
    """Return the checks that stopped the run and say why."""
    checks = result.get_asset_check_evaluations()
    return [c for c in checks if not c.passed and c.description and c.severity is dg.AssetCheckSeverity.ERROR]


def cause(event: dg.DagsterEvent) -> str:
    error = _root(event)
    if error is None:
        return "no error was recorded"
    said = error.message.strip()
    return records_failed(said) if error.cls_name == "OperationalError" else said


def records_failed(said: object) -> str:
    """Return what to do where Dagster's database could not be written."""
    place = f"Dagster's records in {os.environ.get('DAGSTER_HOME', 'its home')}"
    return f"{place}: {said}; make room there if it is full, and run again: what is finished stays"


def _root(event: dg.DagsterEvent) -> SerializableErrorInfo | None:
    error = event.step_failure_data.error
    while error is not None and error.cause is not None:
        error = error.cause
    return error
