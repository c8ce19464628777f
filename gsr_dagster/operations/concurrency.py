"""How many runs there are at once: those that load a model share a pool, one at a time unless it was set otherwise.

`dagster instance concurrency set gpu 4` lets in four.
"""

import dagster as dg

from gsr_dagster.experiment.experiment import POOL


def limit_pool() -> None:
    """Let one run at a time into the pool, unless its limit was set.

    dagster.yaml has a default limit for all pools, which binds only from the second run on.
    """
    with dg.DagsterInstance.get() as instance:
        limits = instance.event_log_storage.get_pool_limits()
        if POOL not in {limit.name for limit in limits}:
            instance.event_log_storage.set_concurrency_slots(POOL, 1)
