"""What every figure shares: panels, error bars, legends, and how a figure gets onto a page. Drawn to read well in print."""

from __future__ import annotations

import base64
import io
from functools import wraps
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from gsr_dagster.method.scoring.intervals import Interval

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 200  # of print
COLOURS = ("#0b4f8a", "#b5541c", "#2a7a4b", "#7a3b8f", "#8a6d00")
ZERO = {"color": "grey", "linewidth": 1, "zorder": 0}

MOST_FIGURES = 64

_figures: dict[tuple[str, str], Figure] = {}
_drawn: WeakKeyDictionary[Figure, str] = WeakKeyDictionary()


def drawn_once(plot: Callable[..., Figure]) -> Callable[..., Figure]:
    """Let a plot of equal things be one figure, which several assets show: to draw it takes most of a report's time."""

    @wraps(plot)
    def figure_of(*shown: Any) -> Figure:
        key = plot.__name__, repr(shown)
        figure = _figures.pop(key, None) or plot(*shown)
        _figures[key] = figure
        for oldest in list(_figures)[:-MOST_FIGURES]:
            del _figures[oldest]
        return figure

    return figure_of


def png(figure: Figure) -> bytes:
    """Return the figure as a PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI)
    return buffer.getvalue()


def data_uri(figure: Figure) -> str:
    """Return the figure as a data URI, for a page that stands alone. It is drawn once, for all that show it."""
    if figure not in _drawn:
        _drawn[figure] = "data:image/png;base64," + base64.b64encode(png(figure)).decode()
    return _drawn[figure]


def markdown_image(figure: Figure) -> str:
    """Return Markdown that shows the figure on the Dagster page."""
    return f"![plot]({data_uri(figure)})"


def reach(interval: Interval) -> list[list[float]]:
    """Return how far an interval reaches below and above its estimate, in points, as error bars want it."""
    low, estimate, high = (100 * bound for bound in (interval.low, interval.estimate, interval.high))
    return [[max(estimate - low, 0.0)], [max(high - estimate, 0.0)]]


def new_figure(width: float, height: float) -> tuple[Figure, Axes]:
    """Return a figure of one panel, in inches."""
    figure, (axes,) = panels(1, width, height)
    return figure, axes


def panels(
    count: int, width: float, height: float, columns: int = 2, sharey: bool = False
) -> tuple[Figure, list[Axes]]:
    """Return a figure with so many panels of a width and height in inches, in so many columns at most."""
    from matplotlib.figure import Figure

    columns = min(count, columns)
    lines = -(-count // columns)
    figure = Figure(figsize=(columns * width, lines * height), layout="constrained")
    every = list(figure.subplots(lines, columns, squeeze=False, sharey=sharey).flat)
    for axes in every[count:]:
        axes.set_visible(False)
    for axes in every:
        axes.spines[["top", "right"]].set_visible(False)
    return figure, every[:count]


def legend_below(figure: Figure, axes: Axes) -> None:
    """Put the legend of one panel below all of them."""
    handles, labels = axes.get_legend_handles_labels()
    place: dict[str, Any] = {
        "loc": "outside lower center",
        "ncols": min(len(labels), 4),
        "frameon": False,
        "fontsize": 8,
    }
    figure.legend(handles, labels, **place)
