"""Dagster's instance: its settings, in the home folder, and the pool that its runs share."""

import os
from pathlib import Path

from gsr_dagster.operations.home import home
from resources.store.files import write_atomically

LAUNCHER = "gsr_dagster.operations.run_launcher"
# Where it was until version 0.1: instances made then name it there.
FORMER_LAUNCHER = "gsr_dagster.launching"

DAGSTER_YAML = """\
telemetry:
  enabled: false
nux:
  enabled: false
python_logs:
  managed_python_loggers: [assets, resources]
  python_log_level: INFO
concurrency:
  pools:
    granularity: run  # a run keeps its model between its steps
run_coordinator:
  module: dagster._core.run_coordinator.queued_run_coordinator
  class: QueuedRunCoordinator
  config:
    dequeue_interval_seconds: 1
run_launcher:
  module: gsr_dagster.operations.run_launcher
  class: WatchedRunLauncher
run_monitoring:
  enabled: true
  poll_interval_seconds: 15
run_retries:
  enabled: true
  max_retries: 2
  retry_on_asset_or_op_failure: false  # only runs whose process died
"""


def prepare_instance() -> None:
    """Point Dagster at its instance in the home folder, unless $DAGSTER_HOME names one; make it where there is none."""
    # Dagster's processes work in folders of their own.
    os.environ["GSR_HOME"] = str(home())
    settings = Path(os.environ.setdefault("DAGSTER_HOME", str(home() / "dagster")), "dagster.yaml")
    if not settings.exists():
        write_atomically(settings, DAGSTER_YAML.encode())
    elif FORMER_LAUNCHER in (before := settings.read_text(encoding="utf-8")):
        write_atomically(settings, before.replace(FORMER_LAUNCHER, LAUNCHER).encode())
