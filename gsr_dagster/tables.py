"""The tables that gsr prints: fractions as percent, differences in points, 95 % intervals in brackets."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from gsr_dagster.experiment import Experiment
from gsr_dagster.planning import Step
from gsr_dagster.regrading import Regraded
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
        table.add_row(row["benchmark"], row["subject"], *scores, _difference(row["intervals"]["refinement_gap"]))
    return table


def aggregation_table(rows: Sequence[dict[str, Any]]) -> Table:
    """Return every aggregation of the same groups beside the vote, with the generated tokens behind an answer."""
    table = _table("aggregations of the same groups, in percent [95 % interval]", "benchmark", "model", "aggregation")
    for label in ("score", "minus majority", "tokens"):
        table.add_column(label, justify="right", no_wrap=True)
    for row in rows:
        for entry in row["aggregations"]:
            score = Text(f"{100 * entry['score']['estimate']:.1f} {between(entry['score'])}")
            difference = _difference(entry["difference"]) if entry["difference"] else "–"
            where = (row["benchmark"], row["subject"], entry["aggregation"])
            table.add_row(*where, score, difference, f"{entry['tokens']:.0f}")
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


def regraded_table(experiment: Experiment, rows: Sequence[Regraded]) -> Table:
    """Return the gap of every report under both graders, and how many verdicts changed."""
    table = _table("verdicts and the Refinement Gap, as stored and as graded now", "benchmark", "model")
    for label in ("changed", f"maj@{experiment.k}", f"selfRef@{experiment.k}", "gap", "sign"):
        table.add_column(label, justify="right", no_wrap=True)
    for row in rows:
        scores = [f"{100 * row.before[s]:.1f} → {100 * row.after[s]:.1f}" for s in ("maj_at_k", "self_ref_at_k")]
        gap = f"{points(row.before['refinement_gap'])} → {points(row.after['refinement_gap'])}"
        sign = "changed" if row.sign_changed else "same"
        table.add_row(row.benchmark, row.subject, f"{len(row.changes)} of {row.samples}", *scores, gap, sign)
    return table


def plan_table(steps: Sequence[Step], rate: float, training_rate: float, share: float) -> Table:
    """Return what a run would cost: samples, tokens at most, and hours of one GPU at the stated rates."""
    table = _table("a run from nothing", "step", "model")
    for label in ("prompts", "samples", "tokens at most", "GPU hours"):
        table.add_column(label, justify="right", no_wrap=True)
    for step in steps:
        hours = step.hours(training_rate if step.trains else rate, share)
        table.add_row(
            step.what, step.model, *(f"{n:,}" for n in (step.prompts, step.samples, step.tokens)), f"{hours:,.1f}"
        )
    return table


def recorded_table(model: str, scores: Mapping[str, Any]) -> Table:
    """Return pass@k and maj@k of a recorded pool for k = 1, 2, 4 ... n, and what refining made of its groups."""
    n, refined = len(scores["pool_maj_at_k"]), "refinement_gap" in scores
    table = _table(f"{model}: {scores['problems']} problems, in percent", "k", "pass@k", "maj@k", "selfRef@k", "gap")
    for k in sorted({2**power for power in range(n.bit_length())} | {scores["k"], n}):
        row = [str(k), *(f"{100 * scores[name][k - 1]:.1f}" for name in ("pool_pass_at_k", "pool_maj_at_k"))]
        if refined and k == scores["k"]:
            row += [f"{100 * scores['self_ref_at_k']:.1f}", _difference(scores["intervals"]["refinement_gap"])]
        table.add_row(*row)
    return table


def _table(title: str, *labels: str) -> Table:
    shape: dict[str, Any] = {"box": None, "padding": (0, 1, 0, 0), "pad_edge": False, "min_width": len(title)}
    table = Table(title=f"\n{title}", title_justify="left", **shape)
    for label in labels:
        table.add_column(label, overflow="fold")
    return table


def _difference(interval: Mapping[str, float]) -> Text:
    return Text(f"{points(interval['estimate'])} {between(interval)}")
