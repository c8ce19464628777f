"""How many runs load a model at once. They share a pool: one place for each GPU, or a single one on a CPU.

Each run holds GPUs of its own (resources/gpus.py). To allow four at once, whatever the machine:
`dagster instance concurrency set gpu 4`.
"""

import dagster as dg

from gsr_dagster.experiment.experiment import POOL
from resources import gpus


def limit_pool() -> None:
    """Give the pool one place for each GPU, or one on a CPU. A limit that someone set before stays.

    dagster.yaml has a default limit for all pools, which binds only from the second run on.
    """
    with dg.DagsterInstance.get() as instance:
        limits = instance.event_log_storage.get_pool_limits()
        if POOL not in {limit.name for limit in limits}:
            instance.event_log_storage.set_concurrency_slots(POOL, len(gpus.visible()) or 1)
