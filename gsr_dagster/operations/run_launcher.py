"""The page's run launcher: Dagster's own, which can also tell that a run's process is gone.

Without it a run whose page was killed with it stays "started" for ever, and keeps the
pool of what loads a model to itself. With it run monitoring marks the run as failed, and
run retries launch it again.
"""

import os

import psutil
from dagster import DagsterEventType, DagsterInstance, DagsterRun, DagsterRunStatus, RunsFilter
from dagster._core.launcher import CheckRunHealthResult, LaunchRunContext, WorkerStatus
from dagster._core.launcher.default_run_launcher import DefaultRunLauncher
from dagster._core.storage.tags import MAX_RETRIES_TAG

from gsr_dagster.operations.locations.origins import FROM_COMMAND_LINE, FROM_TAG

# Clocks are set right now and then, and a process's start is told to the second at best.
SECONDS_CLOCKS_DIFFER = 60


class WatchedRunLauncher(DefaultRunLauncher):
    """Launches runs on this machine and says whether their processes live."""

    def launch_run(self, context: LaunchRunContext) -> None:
        """Launch a run. One that executes a run of the command line again has that one's tags, and is the page's own."""
        run = context.dagster_run
        if run.tags.get(FROM_TAG) == FROM_COMMAND_LINE[FROM_TAG]:
            retries = str(self._instance.run_retries_max_retries)
            self._instance.add_run_tags(run.run_id, {FROM_TAG: "page", MAX_RETRIES_TAG: retries})
        super().launch_run(context)

    @property
    def supports_check_run_worker_health(self) -> bool:
        return True

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """Look for the process that began the run, as its log names it. Where none is named, nobody can tell."""
        began = process_of(self._instance, run)
        if began is None or lives(*began):
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        return CheckRunHealthResult(WorkerStatus.NOT_FOUND, f"its process {began[0]} is gone")


def process_of(instance: DagsterInstance, run: DagsterRun) -> tuple[int, float] | None:
    """Return the number of the process that began a run, and when it wrote so; None where the log names none."""
    for record in instance.get_records_for_run(run.run_id, of_type=DagsterEventType.ENGINE_EVENT).records:
        event = record.event_log_entry.dagster_event
        if event and (pid := event.engine_event_data.metadata.get("pid")):
            return int(str(pid.value)), record.timestamp
    return None


def leave_failed() -> None:
    """Keep Dagster from trying the run of this process again, if it is a run's: its input is bad, and stays bad.

    A run that fails while the code location loads looks to Dagster like one whose process died.
    """
    if not os.environ.get("DAGSTER_HOME"):
        return
    with DagsterInstance.get() as instance:
        begun = instance.get_runs(RunsFilter(statuses=[DagsterRunStatus.STARTING]))
        own = [run for run in begun if (began := process_of(instance, run)) and began[0] == os.getpid()]
        if len(own) == 1:  # containers may share a number: then nobody can tell
            instance.add_run_tags(own[0].run_id, {MAX_RETRIES_TAG: "0"})


def lives(pid: int, wrote: float) -> bool:
    """Return whether the process that wrote into a log at that time lives; another may have its number by now."""
    try:
        process = psutil.Process(pid)
        return process.create_time() <= wrote + SECONDS_CLOCKS_DIFFER and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
