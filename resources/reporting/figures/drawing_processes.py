"""Processes that draw figures while their report is counted, and several figures at once.

To draw takes most of a report's time. With one core a figure is drawn here, once somebody looks at it.
"""

from __future__ import annotations

import multiprocessing
import signal
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor
from functools import cache
from importlib import import_module
from inspect import unwrap
from multiprocessing.util import Finalize
from typing import TYPE_CHECKING, Any

from resources.cores import cores
from resources.reporting.figures.drawing import png_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.figure import Figure


def begin(plot: Callable[..., Figure], shown: tuple[Any, ...]) -> Callable[[], bytes]:
    """Begin to draw what ``plot`` shows, and return what waits for its PNG. ``plot`` is a function decorated by ``kept``."""

    def here() -> bytes:
        return png_of(plot(*shown))

    if len(cores()) < 2:
        return here
    try:
        begun = _pool().submit(_draw, plot.__module__, plot.__name__, shown)
    except BrokenExecutor:
        _pool.cache_clear()
        return here

    def there() -> bytes:
        try:
            return begun.result()
        except BrokenExecutor:  # a process was killed, as where memory runs out
            return here()

    return there


def _draw(module: str, name: str, shown: tuple[Any, ...]) -> bytes:
    return png_of(unwrap(getattr(import_module(module), name))(*shown))


@cache
def _pool() -> ProcessPoolExecutor:
    """Return the processes, of which as many begin as are needed."""
    context = multiprocessing.get_context("forkserver")
    pool = ProcessPoolExecutor(len(cores()), context, _leave_ctrl_c_to_others)
    # As in resources/grading/grader.py: a run of the page would wait for them for ever.
    Finalize(None, pool.shutdown, kwargs={"cancel_futures": True}, exitpriority=1)
    return pool


def _leave_ctrl_c_to_others() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
