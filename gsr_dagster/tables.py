"""The tables that gsr prints: fractions as percent, differences in points, 95 % intervals in brackets."""

from collections.abc import Iterator, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from gsr_dagster.experiment import Experiment
from resources.report_page import COMPARED, SCORES, between, points


def score_table(experiment: Experiment, rows: Sequence[dict[str, Any]]) -> Table:
    """Return the scores of every benchmark and subject, a benchmark's subjects together."""
    table = _table("scores in percent, the Refinement Gap in points [95 % interval]", "benchmark", "model")
    for label in SCORES.values():
        table.add_column(label.format(k=experiment.k), justify="right", no_wrap=True)
    table.add_column("gap", justify="right", no_wrap=True)
    order = list(experiment.benchmarks)
    for row in sorted(rows, key=lambda row: order.index(row["benchmark"])):
        scores = [f"{100 * row[score]:.1f}" for score in SCORES]
        table.add_row(row["benchmark"], row["subject"], *scores, _gap(row))
    return table


def comparison_tables(experiment: Experiment, rows: Sequence[dict[str, Any]]) -> Iterator[Table]:
    """Yield the differences of each student to its base, paired over problems."""
    for name, student in experiment.students.items():
        table = _table(f"{name} minus {student.base}, in points [95 % interval]", "benchmark")
        for score in COMPARED:
            table.add_column(SCORES[score].format(k=experiment.k), justify="right", no_wrap=True)
        for row in rows:
            if row["student"] == name:
                table.add_row(row["benchmark"], *(_difference(row[score]) for score in COMPARED))
        yield table


def _table(title: str, *labels: str) -> Table:
    table = Table(title=f"\n{title}", title_justify="left", box=None, padding=(0, 1, 0, 0), pad_edge=False)
    for label in labels:
        table.add_column(label, overflow="fold")
    return table


def _gap(row: dict[str, Any]) -> Text:
    return Text(f"{points(row['refinement_gap'])} {between(row['intervals']['refinement_gap'])}")


def _difference(value: dict[str, float]) -> Text:
    return Text(f"{points(value['estimate'])} {between((value['low'], value['high']))}")
