"""The tables that gsr prints: fractions as percent, differences in points, 95 % intervals in brackets."""

from collections.abc import Iterator, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.method.scoring.intervals import Interval
from resources.reporting.numbers import between, percent, points
from resources.reporting.report_page import COMPARED, SCORES
from resources.reporting.report_rows import ReportedAggregations, ReportedGap, ReportedStudent


def score_table(experiment: Experiment, rows: Sequence[ReportedGap]) -> Table:
    """Return the scores of every benchmark and subject, a benchmark's subjects together."""
    table = new_table("scores in percent, the Refinement Gap in points [95 % interval]", "benchmark", "model")
    for label in SCORES.values():
        table.add_column(label.format(k=experiment.k), justify="right", no_wrap=True)
    table.add_column("gap", justify="right", no_wrap=True)
    order = list(experiment.benchmarks)
    for row in sorted(rows, key=lambda row: order.index(row.benchmark)):
        scores = [percent(getattr(row, score)) for score in SCORES]
        table.add_row(row.benchmark, row.subject, *scores, difference(row.intervals["refinement_gap"]))
    return table


def aggregation_table(rows: Sequence[ReportedAggregations]) -> Table:
    """Return every aggregation of the same groups beside the vote, with the generated tokens behind an answer."""
    table = new_table(
        "aggregations of the same groups, in percent [95 % interval]", "benchmark", "model", "aggregation"
    )
    for label in ("score", "minus majority", "tokens"):
        table.add_column(label, justify="right", no_wrap=True)
    for row in rows:
        for entry in row.aggregations:
            score = Text(f"{percent(entry.score.estimate)} {between(entry.score)}")
            minus = difference(entry.difference) if entry.difference else "–"
            table.add_row(row.benchmark, row.subject, entry.aggregation, score, minus, f"{entry.tokens:.0f}")
    return table


def comparison_tables(experiment: Experiment, rows: Sequence[ReportedStudent]) -> Iterator[Table]:
    """Yield the differences of each student to its base, paired over problems."""
    for name, student in experiment.students.items():
        table = new_table(f"{name} minus {student.base}, in points [95 % interval]", "benchmark")
        for score in COMPARED:
            table.add_column(SCORES[score].format(k=experiment.k), justify="right", no_wrap=True)
        for row in rows:
            if row.student == name:
                table.add_row(row.benchmark, *(difference(getattr(row, score)) for score in COMPARED))
        yield table


def new_table(title: str, *labels: str) -> Table:
    shape: dict[str, Any] = {"box": None, "padding": (0, 1, 0, 0), "pad_edge": False, "min_width": len(title)}
    table = Table(title=f"\n{title}", title_justify="left", **shape)
    for label in labels:
        table.add_column(label, overflow="fold")
    return table


def difference(interval: Interval) -> Text:
    return Text(f"{points(interval.estimate)} {between(interval)}")
