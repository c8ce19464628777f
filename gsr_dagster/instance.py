"""Dagster's instance: its settings, in the project folder, and the pool that its runs share."""

import os
from pathlib import Path

from gsr_dagster.experiment import POOL

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
  module: gsr_dagster.launching
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
    """Point Dagster at its instance in the project folder, unless $DAGSTER_HOME names one."""
    from gsr_dagster.definitions import home
    from resources.objects import write_atomically

    settings = Path(os.environ.setdefault("DAGSTER_HOME", str(home() / "dagster")), "dagster.yaml")
    if not settings.exists():
        write_atomically(settings, DAGSTER_YAML.encode())


def limit_pool() -> None:
    """Let one run at a time into the pool, unless its limit was set: Dagster's own default binds from the second on."""
    import dagster as dg

    with dg.DagsterInstance.get() as instance:
        limits = instance.event_log_storage.get_pool_limits()
        if POOL not in {limit.name for limit in limits}:
            instance.event_log_storage.set_concurrency_slots(POOL, 1)
