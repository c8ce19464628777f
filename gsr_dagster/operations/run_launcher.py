"""The page's run launcher: Dagster's own, which can also tell that a run's process is gone.

Without it a run whose page was killed with it stays "started" for ever, and keeps the
pool of what loads a model to itself. With it run monitoring marks the run as failed, and
run retries launch it again.
"""

import psutil
from dagster import DagsterEventType, DagsterRun
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
        for record in self._instance.get_records_for_run(run.run_id, of_type=DagsterEventType.ENGINE_EVENT).records:
            event = record.event_log_entry.dagster_event
            if event and (pid := event.engine_event_data.metadata.get("pid")):
                if lives(int(str(pid.value)), record.timestamp):
                    break
                return CheckRunHealthResult(WorkerStatus.NOT_FOUND, f"its process {pid.value} is gone")
        return CheckRunHealthResult(WorkerStatus.RUNNING)


def lives(pid: int, wrote: float) -> bool:
    """Return whether the process that wrote into a log at that time lives; another may have its number by now."""
    try:
        process = psutil.Process(pid)
        return process.create_time() <= wrote + SECONDS_CLOCKS_DIFFER and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
