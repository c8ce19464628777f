"""Figures of the Refinement Gap: of every model and student, and by the number of correct candidates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gsr_dagster.method.scoring.gap_summary import Stratum
from resources.reporting.figures.drawing import COLOURS, ZERO, legend_below, panels, reach
from resources.reporting.figures.kept_drawings import kept
from resources.reporting.report_rows import ReportedGap

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BARS = {"maj@k": "maj_at_k", "selfRef@k": "self_ref_at_k"}
HATCHES = {"maj@k": "", "selfRef@k": "//"}
PATTERNS = ("", "//", "..", "xx")
SHADES = {"maj@k": "#9db4c8", "selfRef@k": "#e0a458"}


@kept
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


@kept
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


@kept
def gap_parts_plot(rows: Sequence[ReportedGap]) -> Figure:
    """Return the parts of each row's gap by the number of correct candidates, in points, a panel a benchmark.

    A bar is rescued minus broken: what refining changes there, over all groups. A row's bars add up to its gap.
    """
    benchmarks = list(dict.fromkeys(row.benchmark for row in rows))
    figure, every = panels(len(benchmarks), 4.5, 2.6)
    for axes, benchmark in zip(every, benchmarks, strict=True):
        of_benchmark = [row for row in rows if row.benchmark == benchmark]
        width = 0.8 / len(of_benchmark)
        for number, row in enumerate(of_benchmark):
            shift = (number - (len(of_benchmark) - 1) / 2) * width
            axes.bar(
                [stratum.n_correct + shift for stratum in row.by_correct],
                [100 * stratum.part_of_gap for stratum in row.by_correct],
                width=width,
                label=row.subject,
                color=COLOURS[number % len(COLOURS)],
                hatch=PATTERNS[number % len(PATTERNS)],
                edgecolor="#333333",
                linewidth=0.6,
            )
        axes.axhline(0, **ZERO)
        axes.set_xticks(range(of_benchmark[0].k + 1))
        axes.set(xlabel="correct candidates", ylabel="part of the gap (points)")
        axes.set_title(benchmark, fontsize=9)
    legend_below(figure, every[0])
    return figure
