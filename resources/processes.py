"""Pools of processes for what takes long, or may have to be killed. They end with the process that has them, however it ends."""

import multiprocessing
from collections.abc import Callable, Sequence
from multiprocessing.util import Finalize
from typing import Any


def process_pool(workers: int, initializer: Callable[[], None] | None = None, preload: Sequence[str] = ()) -> Any:
    """Return a pebble.ProcessPool. Its processes are forks of a server that has imported ``preload`` once, where it is new.

    A killed process is followed by another one. They leave Ctrl-C to the process that has them.
    """
    from pebble import ProcessPool

    context = multiprocessing.get_context("forkserver")
    if preload:
        context.set_forkserver_preload(list(preload))
    pool = ProcessPool(max_workers=workers, initializer=initializer, context=context)
    # Not atexit: a run of the page is a process of multiprocessing, which calls its own finalizers only, and would
    # wait for the pool for ever.
    Finalize(None, stop, [pool], exitpriority=1)
    return pool


def schedule(
    cached_pool: Any, function: Callable[..., Any], arguments: Sequence[Any], seconds: float | None = None
) -> Any:
    """Begin a function in the pool that a cached function returns, and return its future; in a new pool where that one died.

    After ``seconds`` its process is killed.
    """
    try:
        return cached_pool().schedule(function, args=arguments, timeout=seconds)
    except RuntimeError:  # its processes died, or the thread that minds them
        stop(cached_pool())
        cached_pool.cache_clear()
        return cached_pool().schedule(function, args=arguments, timeout=seconds)


def stop(pool: Any) -> None:
    """End the processes of a pool."""
    pool.stop()
    pool.join()
