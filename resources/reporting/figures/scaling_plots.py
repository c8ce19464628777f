"""Figures of how the Refinement Gap scales, and of students beside their bases. A panel is one benchmark or model.

Families, scores and lanes differ in shape and line as well as in colour, so that a
black and white print says the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gsr_dagster.method.scoring.correlation import Correlation
from resources.reporting.figures.drawing import COLOURS, ZERO, legend_below, panels, reach
from resources.reporting.figures.kept_drawings import kept
from resources.reporting.numbers import correlation_text, parameters_text
from resources.reporting.report_rows import Change, ReportedCurvePoint, ReportedGap, ReportedStudent

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# By benchmark, of the gap with the parameters and with pass@1.
Correlations = Mapping[str, Mapping[str, Correlation | None]]

MARKERS = "os^DvPX*<>"
LINES = ("-", "--", "-.", ":")
GAP = "Refinement Gap (points)"
# Shape, colour and place of each score, above or below its student's line.
SCORE_STYLES = {
    "pass_at_1": ("pass@1", "o", "#0b4f8a", 0.27),
    "maj_at_k": ("maj@k", "s", "#2a7a4b", 0.09),
    "self_ref_at_k": ("selfRef@k", "^", "#b5541c", -0.09),
    "refinement_gap": ("Refinement Gap", "D", "#222222", -0.27),
}


@kept
def gap_against_parameters(rows: Sequence[ReportedGap], correlations: Correlations) -> Figure:
    """Return the gap of base models against their parameters, a panel a benchmark, a line a family.

    Models of unknown size are left out, and counted in the titles.
    """
    sized = [row for row in rows if row.parameters is not None]
    figure, by_benchmark = _benchmark_panels(sized, correlations, "parameters", rows)
    sizes = [row.parameters or 0.0 for row in sized]
    # As they look in the plot against pass@1, which holds all of them.
    styles = {family: style for family, style in _family_styles(rows).items() if family in {r.family for r in sized}}
    for axes, of_benchmark in by_benchmark:
        for family, style in styles.items():
            members = sorted((r for r in of_benchmark if r.family == family), key=lambda r: r.parameters or 0.0)
            places = [100 * r.intervals["refinement_gap"].estimate for r in members]
            at = [r.parameters or 0.0 for r in members]
            axes.plot(at, places, label=family, **style)
            for size, row, place in zip(at, members, places, strict=True):
                bars: dict[str, Any] = {"yerr": reach(row.intervals["refinement_gap"]), "capsize": 3}
                axes.errorbar(size, place, fmt="none", ecolor=style["color"], **bars)
        _parameter_axis(axes, min(sizes), max(sizes))
        axes.set(xlabel="parameters (log axis)", ylabel=GAP)
    legend_below(figure, by_benchmark[0][0])
    return figure


@kept
def gap_against_pass_at_1(rows: Sequence[ReportedGap], correlations: Correlations) -> Figure:
    """Return the gap of base models against their pass@1, a panel a benchmark, a shape a family."""
    figure, by_benchmark = _benchmark_panels(rows, correlations, "pass_at_1")
    for axes, of_benchmark in by_benchmark:
        for family, style in _family_styles(rows).items():
            for number, row in enumerate(r for r in of_benchmark if r.family == family):
                x, y = 100 * row.pass_at_1, 100 * row.intervals["refinement_gap"].estimate
                bars: dict[str, Any] = {
                    "xerr": reach(row.intervals["pass_at_1"]),
                    "yerr": reach(row.intervals["refinement_gap"]),
                }
                shape: dict[str, Any] = {
                    "fmt": style["marker"],
                    "color": style["color"],
                    "markersize": style["markersize"],
                }
                label = family if number == 0 else None
                axes.errorbar(x, y, elinewidth=0.8, capsize=2, label=label, **shape, **bars)
                scale = row.subject.removeprefix(f"{family}-")
                axes.annotate(scale, (x, y), (4, 4), textcoords="offset points", fontsize=7)
        axes.set(xlabel="pass@1 (%)", ylabel=GAP)
    legend_below(figure, by_benchmark[0][0])
    return figure


@kept
def scores_against_k(benchmark: str, gaps: Sequence[ReportedGap], curves: Sequence[ReportedCurvePoint]) -> Figure:
    """Return voting and refining against the group size on one benchmark, a panel a model or student.

    ``gaps`` hold the experiment's own k and the vote over all subsets of the pool;
    ``curves`` the further sizes.
    """
    subjects = [row for row in gaps if row.benchmark == benchmark]
    figure, every = panels(len(subjects), 2.5, 2.3, columns=3, sharey=True)
    for number, (axes, row) in enumerate(zip(every, subjects, strict=True)):
        scores = {row.k: row.intervals}
        for point in curves:
            if (point.benchmark, point.subject) == (benchmark, row.subject):
                scores[point.k] = {"maj_at_k": point.maj_at_k, "self_ref_at_k": point.self_ref_at_k}
        sizes = sorted(scores)
        voted = [100 * share for share in row.pool_maj_at_k[: sizes[-1]]]
        axes.plot(range(1, len(voted) + 1), voted, color="#777777", linewidth=1, label="vote, all subsets of the pool")
        for score, shift, line in (("maj_at_k", 0.97, ""), ("self_ref_at_k", 1.03, "--")):
            label, marker, colour, _ = SCORE_STYLES[score]
            x, y = [k * shift for k in sizes], [100 * scores[k][score].estimate for k in sizes]
            bars = [[reach(scores[k][score])[side][0] for k in sizes] for side in (0, 1)]
            shape: dict[str, Any] = {
                "marker": marker,
                "color": colour,
                "linestyle": line,
                "markersize": 4,
                "linewidth": 1,
            }
            axes.errorbar(x, y, yerr=bars, capsize=3, label=label, **shape)
        axes.set_xscale("log", base=2)
        axes.set_xticks([1, *(k for k in sizes if k > 1)], ["1", *(str(k) for k in sizes if k > 1)])
        axes.set_title(f"{row.subject} (n = {row.problems})", fontsize=9)
        axes.set(xlabel="k (log axis)", ylabel="" if number % 3 else "correct (%)")
    legend_below(figure, every[0])
    return figure


@kept
def difference_plot(rows: Sequence[ReportedStudent]) -> Figure:
    """Return every student minus its base, a panel a benchmark."""
    benchmarks = list(dict.fromkeys(row.benchmark for row in rows))
    students = list(dict.fromkeys(row.student for row in rows))
    columns = min(len(benchmarks), 3)
    figure, every = panels(len(benchmarks), 8 / (columns + 0.6), 0.9 + 0.6 * len(students), columns=3, sharey=True)
    for axes, benchmark in zip(every, benchmarks, strict=True):
        of_benchmark = [row for row in rows if row.benchmark == benchmark]
        for score, (label, marker, colour, shift) in SCORE_STYLES.items():
            for row in of_benchmark:
                place = len(students) - 1 - students.index(row.student) + shift
                shape: dict[str, Any] = {"fmt": marker, "color": colour, "markersize": 5, "capsize": 3}
                named = label if row is of_benchmark[0] else None
                change: Change = getattr(row, score)
                axes.errorbar(100 * change.estimate, place, xerr=reach(change), label=named, **shape)
        axes.axvline(0, **ZERO)
        axes.set_yticks(range(len(students)), students[::-1])
        axes.set_ylim(-0.5, len(students) - 0.5)
        axes.set_xlabel("student − base (points)")
        first = of_benchmark[0]
        note = "\nout of distribution" if first.out_of_distribution else ""
        axes.set_title(f"{benchmark} (n = {first.problems} problems){note}", fontsize=9)
    legend_below(figure, every[0])
    return figure


def _benchmark_panels(
    rows: Sequence[ReportedGap], correlations: Correlations, against: str, every_row: Sequence[ReportedGap] = ()
) -> tuple[Figure, list[tuple[Axes, list[ReportedGap]]]]:
    """Return a figure with each benchmark's panel and rows; its title says the correlation and from how much.

    Of ``every_row`` those that are not drawn are counted as of unknown size.
    """
    benchmarks = list(dict.fromkeys(row.benchmark for row in rows))
    figure, every = panels(len(benchmarks), 6 if len(benchmarks) == 1 else 3.6, 3.1)
    found = []
    for axes, benchmark in zip(every, benchmarks, strict=True):
        of_benchmark = [row for row in rows if row.benchmark == benchmark]
        axes.axhline(0, **ZERO)
        title = f"{benchmark} (n = {of_benchmark[0].problems} problems)"
        title += f"\n{correlation_text(correlations[benchmark][against])}"
        if (unknown := sum(row.benchmark == benchmark for row in every_row) - len(of_benchmark)) > 0:
            title += f"\n{unknown} of unknown size left out"
        axes.set_title(title, fontsize=9)
        found.append((axes, of_benchmark))
    return figure, found


def _family_styles(rows: Sequence[ReportedGap]) -> dict[str, dict[str, Any]]:
    families = dict.fromkeys(row.family for row in rows)
    return {
        family: {
            "marker": MARKERS[number % len(MARKERS)],
            "linestyle": LINES[number % len(LINES)],
            "color": COLOURS[number % len(COLOURS)],
            "markersize": 5,
            "linewidth": 1.2,
        }
        for number, family in enumerate(families)
    }


def _parameter_axis(axes: Axes, smallest: float, largest: float) -> None:
    """Mark a log axis at 1, 2 and 5 of each decade; of many decades only at 1."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    axes.set_xscale("log")
    axes.set_xlim(smallest / 1.5, largest * 1.5)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if largest < 200 * smallest else (1,)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: parameters_text(value)))
