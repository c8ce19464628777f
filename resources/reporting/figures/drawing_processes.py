"""Processes that draw figures while their report is counted, and several figures at once.

To draw takes most of a report's time. With one core a figure is drawn here, once somebody looks at it.
"""

from __future__ import annotations

from concurrent.futures.process import BrokenProcessPool
from functools import cache
from importlib import import_module
from inspect import unwrap
from typing import TYPE_CHECKING, Any

from resources.cores import cores
from resources.processes import process_pool, schedule
from resources.reporting.figures.drawing import png_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.figure import Figure

# Each has Matplotlib in memory.
MOST_PROCESSES = 4


def begin(plot: Callable[..., Figure], shown: tuple[Any, ...]) -> Callable[[], bytes]:
    """Begin to draw what ``plot`` shows, and return what waits for its PNG. ``plot`` is a function decorated by ``kept``."""

    def here() -> bytes:
        return png_of(plot(*shown))

    if len(cores()) < 2:
        return here
    begun = schedule(_pool, _draw, (plot.__module__, plot.__name__, shown))

    def there() -> bytes:
        from pebble import ProcessExpired

        try:
            return begun.result()
        except (ProcessExpired, BrokenProcessPool):  # killed, as where memory runs out
            return here()

    return there


def _draw(module: str, name: str, shown: tuple[Any, ...]) -> bytes:
    return png_of(unwrap(getattr(import_module(module), name))(*shown))


@cache
def _pool() -> Any:
    return process_pool(min(len(cores()), MOST_PROCESSES))
