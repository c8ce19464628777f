"""`gsr run`: every lane's partitions in order, each a Dagster run in this process."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import dagster as dg
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.events import RunFailureReason
from dagster._core.execution.api import execute_run
from dagster._core.execution.execute_in_process import merge_run_tags
from rich.console import Console

from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.experiment.keys import ArtifactKey
from gsr_dagster.operations.failures import cause, root_error
from gsr_dagster.operations.jobs import name_in_dagster
from gsr_dagster.operations.lanes import Lane
from gsr_dagster.operations.locations.origins import FROM_COMMAND_LINE, job_origin
from resources import gpus
from resources.progress import SentBars
from resources.store.artifacts import ArtifactStore
from resources.store.errors import ArtifactError, DamageError

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass(frozen=True)
class Run:
    """A run of an experiment in this process: what is materialized, into which store, and where its lines are printed."""

    experiment: Experiment
    definitions: dg.Definitions
    instance: dg.DagsterInstance
    lanes: list[Lane]
    store: ArtifactStore
    console: Console | SentBars

    def materialize_all(self) -> int:
        """Materialize every artifact that is not current, and return how many were. Ctrl-C raises KeyboardInterrupt.

        Where a step finds a stored file damaged, the store is searched, what is damaged is
        dropped, and the run goes on by making it again. Raises ArtifactError, with the step
        and its error, where a run fails.
        """
        gpus.want(max((lane.gpus(partition) for lane in self.lanes for partition in lane.partitions), default=0))
        count, dropped = 0, set()
        while True:
            try:
                for lane in self.lanes:
                    for materialized in self.materialize_lane(lane):
                        count += materialized
                return count
            except DamageError:
                before = len(dropped)
                for name, fault in self.store.verified.damage():
                    self._print(f"{fault}. It is made again.")
                    self.store.objects.remove(name)
                    dropped.add(name)
                if len(dropped) == before:
                    raise

    def materialize_lane(self, lane: Lane) -> Iterator[int]:
        """Materialize what is not current of a lane, and yield the number of assets of each partition.

        Raises ArtifactError where one fails.
        """
        for partition in lane.partitions:
            stale = lane.stale(self.store, partition)
            if not stale:
                continue
            started = time.monotonic()
            self._materialize(lane, partition, stale)
            seconds = time.monotonic() - started
            done = f"{len(stale)} asset{'s' if len(stale) > 1 else ''} in {seconds:.0f} s"
            self._print(f"{f'{lane.name} {partition}':<50} {done}")
            yield len(stale)

    def _materialize(self, lane: Lane, partition: str, keys: list[ArtifactKey]) -> None:
        job = self.definitions.resolve_job_def(name_in_dagster(self.experiment, lane.name))
        assets = [self.experiment.page_key(key) for key in keys]
        tags = merge_run_tags(job, partition or None, FROM_COMMAND_LINE, assets, self.instance, QUIET)
        # Dagster's own execute_in_process makes a run of no code location.
        run = self.instance.create_run_for_job(
            job,
            run_config=QUIET,
            tags=tags,
            asset_selection=frozenset(assets),
            remote_job_origin=job_origin(self.experiment, job.name),
        )
        result = execute_run(InMemoryJob(job), run, self.instance)
        if not result.success:
            if _interrupted(result):
                raise KeyboardInterrupt
            failed = [event for event in result.all_events if event.is_step_failure]
            causes = [f"{event.step_key}: {cause(event)}" for event in failed]
            causes += [f"{check.check_name}: {check.description}" for check in _blocked(result)]
            damage = any((error := root_error(event)) and error.cls_name == DamageError.__name__ for event in failed)
            failure = DamageError if damage else ArtifactError
            raise failure("\n".join([f"{lane.name} {partition} failed.", *causes]))

    def _print(self, line: str) -> None:
        self.console.print(line, markup=False, highlight=False, soft_wrap=True)


def _interrupted(result: dg.JobExecutionResult) -> bool:
    """Return whether a signal ended the run: Dagster records it and raises nothing."""
    ended = [
        event for event in result.all_events if event.is_failure and event.event_type is dg.DagsterEventType.RUN_FAILURE
    ]
    return any(event.job_failure_data.failure_reason is RunFailureReason.UNEXPECTED_TERMINATION for event in ended)


def _blocked(result: dg.JobExecutionResult) -> list[dg.AssetCheckEvaluation]:
    """Return the checks that stopped the run and say why."""
    checks = result.get_asset_check_evaluations()
    return [c for c in checks if not c.passed and c.description and c.severity is dg.AssetCheckSeverity.ERROR]
