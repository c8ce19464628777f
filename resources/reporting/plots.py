"""Figures, drawn to read well in print: labelled axes, units, intervals, no colour alone."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gsr_dagster.method.rows import Row
from gsr_dagster.method.scoring.gap_summary import Stratum
from gsr_dagster.method.scoring.intervals import Interval
from resources.reporting.report_rows import ReportedGap

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BARS = {"maj@k": "maj_at_k", "selfRef@k": "self_ref_at_k"}
HATCHES = {"maj@k": "", "selfRef@k": "//"}
DPI = 200  # of print
ZERO = {"color": "grey", "linewidth": 1, "zorder": 0}
SHADES = {"maj@k": "#9db4c8", "selfRef@k": "#e0a458"}


def training_curve(history: Sequence[Row]) -> Figure:
    """Return loss and learning rate by optimiser step. ``history`` rows: step, loss, learning_rate."""
    figure, axes = new_figure(6, 3)
    history = sorted(history, key=lambda row: row["step"])
    steps = [row["step"] for row in history]
    axes.plot(steps, [row["loss"] for row in history], color="#2b5876", marker="o", markersize=3, label="loss")
    axes.set(xlabel="optimiser step", ylabel="loss (nats per target token)")
    rate = axes.twinx()
    rate.plot(steps, [row["learning_rate"] for row in history], color="#b5651d", linestyle="--", label="learning rate")
    rate.set_ylabel("learning rate (dashed)")
    rate.spines["top"].set_visible(False)
    rate.set_ylim(bottom=0)
    return figure


def gap_plot(rows: Sequence[ReportedGap]) -> Figure:
    """Return the Refinement Gap of each row with its 95 % interval, in points, a panel a benchmark."""
    benchmarks = list(dict.fromkeys(row.benchmark for row in rows))
    subjects = list(dict.fromkeys(row.subject for row in rows))[::-1]
    columns = min(len(benchmarks), 3)
    figure, every = panels(len(benchmarks), 8 / (columns + 0.6), 0.9 + 0.3 * len(subjects), columns=3, sharey=True)
    for axes, benchmark in zip(every, benchmarks, strict=True):
        of_benchmark = [row for row in rows if row.benchmark == benchmark]
        for row in of_benchmark:
            interval = row.intervals["refinement_gap"]
            student = row.lane == "student"
            style: dict[str, Any] = {"fmt": "s", "color": "#b5541c"} if student else {"fmt": "o", "color": "#0b4f8a"}
            place = subjects.index(row.subject)
            axes.errorbar(100 * interval.estimate, place, xerr=reach(interval), capsize=4, **style)
        axes.axvline(0, **ZERO)
        axes.set_yticks(range(len(subjects)), subjects)
        axes.set_ylim(-0.6, len(subjects) - 0.4)
        axes.set_xlabel("Refinement Gap (points)")
        axes.set_title(f"{benchmark} (n = {of_benchmark[0].problems} problems)", fontsize=9)
    return figure


def by_correct_plot(strata_of: Mapping[str, Sequence[Stratum]]) -> Figure:
    """Return voting and refining by the number of correct candidates, in percent of its groups, a panel a subject."""
    figure, every = panels(len(strata_of), 2.5 if len(strata_of) > 1 else 4.5, 2.3, columns=3, sharey=True)
    for number, (axes, subject) in enumerate(zip(every, strata_of, strict=True)):
        strata = sorted(strata_of[subject], key=lambda stratum: stratum.n_correct)
        for shift, (label, score) in zip((-0.2, 0.2), BARS.items(), strict=True):
            intervals = [stratum.intervals[score] for stratum in strata]
            bars = [[reach(interval)[side][0] for interval in intervals] for side in (0, 1)]
            axes.bar(
                [stratum.n_correct + shift for stratum in strata],
                [100 * interval.estimate for interval in intervals],
                yerr=bars,
                error_kw={"elinewidth": 0.8, "capsize": 2},
                width=0.38,
                label=label,
                color=SHADES[label],
                hatch=HATCHES[label],
                edgecolor="#333333",
                linewidth=0.6,
            )
        axes.set_xticks([s.n_correct for s in strata], [f"{s.n_correct}\n({s.groups})" for s in strata])
        axes.set(xlabel="correct candidates (groups)", ylabel="" if number % 3 else "correct (%)", ylim=(0, 105))
        axes.set_title(subject, fontsize=9)
    legend_below(figure, every[0])
    return figure


def png(figure: Figure) -> bytes:
    """Return the figure as a PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI)
    return buffer.getvalue()


def data_uri(figure: Figure) -> str:
    """Return the figure as a data URI, for a page that stands alone."""
    return "data:image/png;base64," + base64.b64encode(png(figure)).decode()


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
