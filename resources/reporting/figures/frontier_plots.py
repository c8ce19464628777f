"""The figures of accuracy against generated tokens, and against money."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from resources.reporting.figures.drawing import COLOURS, legend_below, panels, reach
from resources.reporting.figures.kept_drawings import kept
from resources.reporting.frontier import REFINE, VOTE, Frontier, Method, Unit, unbeaten
from resources.reporting.numbers import ANSWERS, money

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MARKERS = "oDvP*XhH<>"  # beside those of SHAPES
SHAPES: dict[str, dict[str, Any]] = {
    VOTE: {"marker": "s", "color": "#777777"},
    REFINE: {"marker": "^", "color": COLOURS[1]},
}
LABELS: dict[Unit, str] = {
    "tokens": "tokens for one answer (log axis)",
    "money": f"cost of {ANSWERS:,} answers (log axis)",
}


@kept
def frontier_plot(frontiers: Sequence[Frontier], unit: Unit = "tokens") -> Figure:
    """Return the methods of one benchmark, a panel a subject: correct in percent against their cost, with the frontier.

    What costs nothing, or what nobody knows the cost of, is left out.
    """
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    columns = min(len(frontiers), 3)
    figure, every = panels(len(frontiers), 6 if columns == 1 else 9 / columns, 3.2, columns=3, sharey=True)
    # A method looks the same in the figure of tokens and in that of money.
    names = dict.fromkeys(name for frontier in frontiers for name in frontier.curves() if name not in SHAPES)
    shapes = SHAPES | {
        name: {"marker": MARKERS[number % len(MARKERS)], "color": COLOURS[number % len(COLOURS)]}
        for number, name in enumerate(names)
    }
    for number, (axes, frontier) in enumerate(zip(every, frontiers, strict=True)):
        best = [method for method in unbeaten(frontier.methods, unit) if method.cost(unit)]
        steps = _along(best, unit), [100 * method.score.estimate for method in best]
        axes.step(*steps, where="post", color="black", linewidth=0.8, linestyle=":", label="best at its cost")
        for name, curve in frontier.curves(unit).items():
            methods = [method for method in curve if method.cost(unit)]
            x, y = _along(methods, unit), [100 * method.score.estimate for method in methods]
            bars = [[reach(method.score)[side][0] for method in methods] for side in (0, 1)]
            style: dict[str, Any] = {"markersize": 4, "linewidth": 1, "elinewidth": 0.5, "capsize": 2}
            axes.errorbar(x, y, yerr=bars, label=name, **shapes[name], **style)
        axes.set_xscale("log")
        written = (lambda value, _: f"{value:,.0f}") if unit == "tokens" else (lambda value, _: money(value))
        axes.xaxis.set_major_formatter(FuncFormatter(written))
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set(xlabel=LABELS[unit], ylabel="" if number % columns else "correct (%)")
        axes.set_title(frontier.subject, fontsize=9)
    legend_below(figure, every[0])
    return figure


def _along(methods: Sequence[Method], unit: Unit) -> list[float]:
    """Return where methods stand on the axis: the tokens of an answer, or the money of ANSWERS."""
    return [(method.cost(unit) or 0.0) * (1 if unit == "tokens" else ANSWERS) for method in methods]
