"""What every figure shares: panels, error bars, legends, and how a figure gets onto a page. Drawn to read well in print."""

from __future__ import annotations

import base64
import io
from functools import cached_property
from typing import TYPE_CHECKING, Any

from gsr_dagster.method.scoring.intervals import Interval

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 200  # of print
COLOURS = ("#0b4f8a", "#b5541c", "#2a7a4b", "#7a3b8f", "#8a6d00")
ZERO = {"color": "grey", "linewidth": 1, "zorder": 0}


class Drawing:
    """A figure as a PNG, which ``wait`` returns once it is drawn."""

    def __init__(self, wait: Callable[[], bytes]):
        self._wait = wait

    @cached_property
    def png(self) -> bytes:
        return self._wait()

    @property
    def width(self) -> float:
        """How wide it is in print, in inches."""
        return int.from_bytes(self.png[16:20], "big") / DPI  # of the header, which comes first

    @property
    def data_uri(self) -> str:
        """The drawing for a page that stands alone."""
        return "data:image/png;base64," + base64.b64encode(self.png).decode()

    @property
    def markdown(self) -> str:
        """Markdown that shows the drawing on the Dagster page."""
        return f"![plot]({self.data_uri})"


def png_of(figure: Figure) -> bytes:
    """Return the figure as a PNG. ``savefig`` would draw it twice: it has to be ready to cut off what is empty."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure.set_dpi(DPI)
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer)
    return buffer.getvalue()


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
