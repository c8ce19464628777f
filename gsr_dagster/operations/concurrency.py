"""How many runs there are at once: those that load a model share a pool, with a place for each GPU unless it was set otherwise.

Each of them holds GPUs of its own (resources/gpus.py). On a CPU one runs at a time.
`dagster instance concurrency set gpu 4` lets in four.
"""

import dagster as dg

from gsr_dagster.experiment.experiment import POOL
from resources import gpus


def limit_pool() -> None:
    """Let a run for each GPU into the pool, or one on a CPU, unless its limit was set.

    dagster.yaml has a default limit for all pools, which binds only from the second run on.
    """
    with dg.DagsterInstance.get() as instance:
        limits = instance.event_log_storage.get_pool_limits()
        if POOL not in {limit.name for limit in limits}:
            instance.event_log_storage.set_concurrency_slots(POOL, len(gpus.visible()) or 1)
