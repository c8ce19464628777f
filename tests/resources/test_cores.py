import multiprocessing
import os

import pytest

from resources.cores import cores, keep_to_share


def share(place: int, places: int) -> list[int]:
    """Return the cores of a new process that keeps to its share."""
    with multiprocessing.get_context("spawn").Pool(1, keep_to_share, (place, places)) as pool:
        return pool.apply(cores)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system gives no process cores of its own")
def test_processes_share_all_cores_and_each_has_one_at_least():
    mine = cores()
    assert share(0, 1) == mine
    assert sorted(share(0, 2) + share(1, 2)) == sorted(mine) or len(mine) == 1
    many = len(mine) + 1
    assert all(share(place, many) for place in (0, many - 1))
