"""Dagster's instance: its settings, in the home folder, and the pool that its runs share."""

import os
import re
from contextlib import nullcontext
from pathlib import Path

import dagster as dg
from sqlalchemy.exc import OperationalError

from gsr_dagster.experiment.errors import UserError
from gsr_dagster.operations.home import artifacts, home
from resources.store.files import cache_folder, locked, write_atomically
from resources.store.roots import local_path

LAUNCHER = "gsr_dagster.operations.run_launcher"
# Where it was until version 0.1: instances made then name it there.
FORMER_LAUNCHER = "gsr_dagster.launching"

# What every instance has, wherever its runs are: deploy/*/dagster.yaml repeats it, and tests/test_deploy.py holds
# each file to it. A run that is killed gives its place in the pool back once run monitoring has marked it as failed.
EVERYWHERE = """\
telemetry:
  enabled: false
python_logs:
  managed_python_loggers: [assets, resources]
  python_log_level: INFO
concurrency:
  pools:
    granularity: run  # a run keeps its model between its steps
run_monitoring:
  enabled: true
  poll_interval_seconds: 15
  free_slots_after_run_end_seconds: 15
run_retries:
  enabled: true
  max_retries: 2
  retry_on_asset_or_op_failure: false  # only runs whose process died: bad input stays bad
"""
STORAGE = """\
storage:
  custom:
    module: gsr_dagster.operations.instance.event_log
    class: KeptSqliteStorage
    config:
      base_dir:
        env: DAGSTER_HOME
"""
# Dagster's page asks nobody for an address. Every instance has it too.
NUX = """\
nux:
  enabled: false
"""
DAGSTER_YAML = f"""\
{EVERYWHERE}
{STORAGE}{NUX}run_coordinator:
  module: dagster._core.run_coordinator.queued_run_coordinator
  class: QueuedRunCoordinator
  config:
    dequeue_interval_seconds: 1
run_launcher:
  module: gsr_dagster.operations.run_launcher
  class: WatchedRunLauncher
"""
# What Dagster says after a mistake: every setting that there is, or where in its code it was found.
ALLOWED = re.compile(r" Expected: |\n+Stack Trace:")


class InstanceError(UserError, RuntimeError):
    """A Dagster instance that cannot be opened; the message says where it is, and why."""


def prepare_instance() -> None:
    """Point Dagster at its instance in the home folder, unless $DAGSTER_HOME names one; make it where there is none.

    Dagster's processes work in folders of their own: every folder is named from the root. Raises InstanceError.
    """
    os.environ["GSR_HOME"] = str(home())
    if os.environ.get("GSR_ARTIFACTS", "").strip():
        os.environ["GSR_ARTIFACTS"] = artifacts()
    if os.environ.get("GSR_CACHE"):
        os.environ["GSR_CACHE"] = str(cache_folder())
    folder = dagster_home()
    os.environ["DAGSTER_HOME"] = str(folder)
    folder.mkdir(parents=True, exist_ok=True)
    # Dagster makes its databases without a lock, and of several processes that begin at once some fail.
    # A folder that only holds settings may be read-only: the databases are elsewhere then.
    with locked(folder / ".made.lock") if os.access(folder, os.W_OK) else nullcontext():
        settings = folder / "dagster.yaml"
        before = settings.read_text(encoding="utf-8") if settings.exists() else None
        if (text := _of_this_version(before)) != before:
            write_atomically(settings, text.encode())
        _open(folder)


def _open(folder: Path) -> None:
    """Open the instance once, which makes its databases. Raises InstanceError where its settings or its server do not let it."""
    try:
        with dg.DagsterInstance.get():
            pass
    except OperationalError:  # of a database that is there: gsr_dagster/commands/main.py says what to do
        raise
    except Exception as error:  # whatever Dagster and the clients of databases raise
        place = folder / "dagster.yaml"
        raise InstanceError(f"{place}: this Dagster instance cannot be opened: {_why(error)}") from error


def _why(error: BaseException) -> str:
    """Return the error that began it, in its own words; of settings each mistake, without all that would be allowed."""
    while error.__cause__ is not None:
        error = error.__cause__
    if isinstance(error, dg.DagsterInvalidConfigError):
        return "; ".join(ALLOWED.split(one.message)[0].strip() for one in error.errors)
    return str(error).strip() or type(error).__name__


def _of_this_version(settings: str | None) -> str:
    """Return an instance's settings as this version wants them. What somebody changed stays as it is."""
    if settings is None:
        return DAGSTER_YAML
    settings = settings.replace(FORMER_LAUNCHER, LAUNCHER)
    return DAGSTER_YAML if settings == DAGSTER_YAML.replace(STORAGE, "") else settings


def dagster_home() -> Path:
    """Return the folder of the Dagster instance: $DAGSTER_HOME, or dagster in the home."""
    named = os.environ.get("DAGSTER_HOME", "").strip()
    return local_path(named) if named else home() / "dagster"
