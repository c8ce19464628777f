"""Figures of whole pools: pass@k and maj@k at every k."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from resources.reporting.figures.drawing import legend_below, panels
from resources.reporting.figures.kept_drawings import kept
from resources.reporting.pools import shared_k
from resources.reporting.report_rows import ReportedGap

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CURVES = {
    "pass@k": ("pool_pass_at_k", "^", "#b5541c"),
    "maj@k": ("pool_maj_at_k", "s", "#2a7a4b"),
}


@kept
def pool_plot(rows: Sequence[ReportedGap]) -> Figure:
    """Return pass@k and maj@k over all subsets of each pool, a panel a pool; dotted where a k counts fewer problems."""
    from matplotlib.ticker import MaxNLocator

    figure, every = panels(len(rows), 2.5 if len(rows) > 1 else 4.5, 2.3, columns=3, sharey=True)
    for number, (axes, row) in enumerate(zip(every, rows, strict=True)):
        n, shared = len(row.pool_pass_at_k), shared_k(row)
        for label, (curve, marker, colour) in CURVES.items():
            scores = [100 * score for score in getattr(row, curve)]
            shape = {"marker": marker, "color": colour, "markersize": 3, "linewidth": 1}
            axes.plot(range(1, shared + 1), scores[:shared], label=label, **shape)
            if shared < n:
                axes.plot(range(shared, n + 1), scores[shared - 1 :], linestyle=":", **shape)
        axes.set(xlabel="k", ylabel="" if number % 3 else "correct (%)", ylim=(0, 105))
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.set_title(f"{row.benchmark}, {row.subject}", fontsize=9)
    legend_below(figure, every[0])
    return figure
