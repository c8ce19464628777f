"""The figure of accuracy against generated tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from resources.reporting.drawing import COLOURS, legend_below, panels, reach
from resources.reporting.frontier import REFINE, VOTE, Frontier

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MARKERS = "oDvP*XhH<>"  # beside those of SHAPES
SHAPES: dict[str, dict[str, Any]] = {
    VOTE: {"marker": "s", "color": "#777777"},
    REFINE: {"marker": "^", "color": COLOURS[1]},
}


def frontier_plot(frontiers: Sequence[Frontier]) -> Figure:
    """Return the methods of one benchmark, a panel a subject: correct in percent against tokens, with the frontier."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    columns = min(len(frontiers), 3)
    figure, every = panels(len(frontiers), 6 if columns == 1 else 9 / columns, 3.2, columns=3, sharey=True)
    names = dict.fromkeys(name for frontier in frontiers for name in frontier.curves if name not in SHAPES)
    shapes = SHAPES | {
        name: {"marker": MARKERS[number % len(MARKERS)], "color": COLOURS[number % len(COLOURS)]}
        for number, name in enumerate(names)
    }
    for number, (axes, frontier) in enumerate(zip(every, frontiers, strict=True)):
        best = frontier.best
        steps = [method.tokens for method in best], [100 * method.score.estimate for method in best]
        axes.step(*steps, where="post", color="black", linewidth=0.8, linestyle=":", label="best at its cost")
        for name, methods in frontier.curves.items():
            x, y = [method.tokens for method in methods], [100 * method.score.estimate for method in methods]
            bars = [[reach(method.score)[side][0] for method in methods] for side in (0, 1)]
            style: dict[str, Any] = {"markersize": 4, "linewidth": 1, "elinewidth": 0.5, "capsize": 2}
            axes.errorbar(x, y, yerr=bars, label=name, **shapes[name], **style)
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set(xlabel="tokens for one answer (log axis)", ylabel="" if number % columns else "correct (%)")
        axes.set_title(frontier.subject, fontsize=9)
    legend_below(figure, every[0])
    return figure
