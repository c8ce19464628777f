"""The tables that gsr prints: fractions as percent, differences in points, 95 % intervals in brackets."""

from collections.abc import Sequence
from typing import Any

from rich import box
from rich.table import Table

from gsr_dagster.experiment import Experiment
from resources.report_page import SCORES, between, points


def score_table(experiment: Experiment, rows: Sequence[dict[str, Any]]) -> Table:
    """Return the scores of every benchmark and subject, a benchmark's subjects together."""
    table = Table(title=f"{experiment.name}: scores in percent, the gap in points [95 % interval]", box=box.SIMPLE_HEAD)
    for label in ("benchmark", "model"):
        table.add_column(label, no_wrap=True)
    for label in SCORES.values():
        table.add_column(label.format(k=experiment.k), justify="right")
    table.add_column("gap", justify="right", no_wrap=True)
    order = list(experiment.benchmarks)
    for row in sorted(rows, key=lambda row: order.index(row["benchmark"])):
        table.add_row(
            row["benchmark"],
            row["subject"],
            *(f"{100 * row[score]:.1f}" for score in SCORES),
            f"{points(row['refinement_gap'])} {_plain(between(row['intervals']['refinement_gap']))}",
        )
    return table


def comparison_table(experiment: Experiment, rows: Sequence[dict[str, Any]]) -> Table:
    """Return the differences of each student to its base."""
    table = Table(title="student minus base, paired over problems, in points [95 % interval]", box=box.SIMPLE_HEAD)
    for label in ("benchmark", "student"):
        table.add_column(label, no_wrap=True)
    scores = ("pass_at_1", "maj_at_k", "self_ref_at_k")
    for score in scores:
        table.add_column(SCORES[score].format(k=experiment.k), justify="right", no_wrap=True)
    for row in rows:
        values = [row[score] for score in scores]
        cells = [f"{points(v['estimate'])} {_plain(between((v['low'], v['high'])))}" for v in values]
        table.add_row(row["benchmark"], row["student"], *cells)
    return table


def _plain(text: str) -> str:
    """Keep rich from reading an interval's bracket as markup."""
    return text.replace("[", "\\[")
