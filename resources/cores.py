"""The cores of this machine that a process may use: all, or its share where several work side by side."""

import os


def cores() -> list[int]:
    """Return the numbers of the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def keep_to_share(place: int, places: int) -> None:
    """Keep this process, and all that it starts, to its share of the cores: that at ``place`` (0..places-1) of ``places``.

    Where there are fewer cores than places, some share one. Systems without affinity, as macOS, share by themselves.
    """
    if not hasattr(os, "sched_setaffinity"):
        return
    mine = cores()
    first, end = (len(mine) * number // places for number in (place, place + 1))
    os.sched_setaffinity(0, mine[first:end] or [mine[first]])
