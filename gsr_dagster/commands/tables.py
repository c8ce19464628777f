"""The tables that gsr prints: fractions as percent, differences in points, 95 % intervals in brackets."""

from collections.abc import Iterator, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.method.scoring.intervals import Interval
from gsr_dagster.method.scoring.judged_scores import DECIDERS
from resources.reporting.numbers import NOTHING, agreement_text, between, percent, points, vote_and_refinement
from resources.reporting.pools import pool_points
from resources.reporting.report_page import COMPARED, LABELS, SCORES, SIDE_BY_SIDE_TOO
from resources.reporting.report_rows import (
    SIDE_BY_SIDE,
    Change,
    ReportedAggregations,
    ReportedGap,
    ReportedJudgements,
    ReportedStudent,
)

POOL_SCORES = ("pass@k", "maj@k")


def score_table(experiment: Experiment, rows: Sequence[ReportedGap]) -> Table:
    """Return the scores of every benchmark and subject, a benchmark's subjects together."""
    table = new_table("scores in percent, the Refinement Gap in points [95 % interval]", "benchmark", "model")
    for label in SCORES.values():
        table.add_column(label.format(k=experiment.k), justify="right", no_wrap=True)
    table.add_column("gap", justify="right", no_wrap=True)
    order = list(experiment.benchmarks)
    for row in sorted(rows, key=lambda row: order.index(row.benchmark)):
        texts = {score: percent(getattr(row, score)) for score in SCORES}
        texts["maj_at_k"], texts["self_ref_at_k"] = vote_and_refinement(row)
        table.add_row(row.benchmark, row.subject, *texts.values(), difference(row.intervals.get("refinement_gap")))
    return table


def pool_table(experiment: Experiment, rows: Sequence[ReportedGap]) -> Table:
    """Return pass@k and maj@k of every pool, exact over all subsets of k samples, and the problems that each k counts."""
    table = new_table(
        "whole pools, in percent, over all subsets of k samples", "benchmark", "model", "k", "problems", *POOL_SCORES
    )
    order = list(experiment.benchmarks)
    for row in sorted(rows, key=lambda row: order.index(row.benchmark)):
        for point in pool_points(row):
            scores = percent(point.pass_at_k), percent(point.maj_at_k)
            table.add_row(row.benchmark, row.subject, str(point.k), str(point.problems), *scores)
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
            minus = difference(entry.difference)
            table.add_row(row.benchmark, row.subject, entry.aggregation, score, minus, f"{entry.tokens:.0f}")
    return table


def controls_table(rows: Sequence[ReportedAggregations]) -> Table:
    """Return one refinement minus the answers of its controls, of those that have any."""
    held = [(row, name, gain) for row in rows for name, gain in row.refinement_minus_controls.items()]
    table = new_table("one refinement minus its controls, in points [95 % interval]", "benchmark", "model", "control")
    table.add_column("refinement − control", justify="right", no_wrap=True)
    for row, name, gain in held:
        table.add_row(row.benchmark, row.subject, name, difference(gain))
    return table


def crossed_table(rows: Sequence[ReportedAggregations]) -> Table:
    """Return what students make of their bases' groups, where an aggregation asks for it."""
    held = [(row, crossed) for row in rows for crossed in row.crossed.values()]
    table = new_table("the base's candidates, voted on and refined by both, in percent", "benchmark", "student")
    for label in ("vote", "by base", "by student", "student − base"):
        table.add_column(label, justify="right", no_wrap=True)
    for row, crossed in held:
        scores = (percent(score.estimate) for score in (crossed.vote, crossed.base, crossed.student))
        table.add_row(row.benchmark, row.subject, *scores, difference(crossed.minus_base))
    return table


def population_table(rows: Sequence[ReportedAggregations]) -> Table:
    """Return what each round made of whole populations of answers, where an aggregation has any."""
    held = [(row, *named) for row in rows for named in row.populations.items()]
    table = new_table("populations of answers by round, in percent", "benchmark", "model", "aggregation")
    for label in ("round", "pass@1", "vote of all", "any right", "distinct", "tokens"):
        table.add_column(label, justify="right", no_wrap=True)
    for row, name, rounds in held:
        for population in rounds:
            scores = (population.pass_at_1, population.maj_at_n, population.pass_at_n)
            percents = (percent(score.estimate) for score in scores)
            told = f"{population.distinct_answers:.1f}", f"{population.tokens:.0f}"
            table.add_row(row.benchmark, row.subject, name, str(population.round), *percents, *told)
    return table


def judged_score_table(experiment: Experiment, rows: Sequence[ReportedJudgements]) -> Table:
    """Return the scores of every evaluation by who decides which answers are right."""
    table = new_table(
        "scores by who decides, in percent, the gap in points [95 % interval]", "benchmark", "model", "decided by"
    )
    for label in ("n", "pass@1", f"maj@{experiment.k}", f"selfRef@{experiment.k}", "gap"):
        table.add_column(label, justify="right", no_wrap=True)
    for row in rows:
        for decider in DECIDERS:
            if scores := row.scores.get(decider):
                shown = percent(scores.pass_at_1), *vote_and_refinement(scores)
                gap = difference(scores.intervals.get("refinement_gap"))
                table.add_row(row.benchmark, row.subject, row.named(decider), str(scores.problems), *shown, gap)
    return table


def agreement_table(rows: Sequence[ReportedJudgements]) -> Table:
    """Return what the judge decided of the distinct answers of every evaluation, and how far grader and judge agree."""
    title = "distinct answers; of those that grader and judge both decide, how many alike, in percent [95 % interval]"
    table = new_table(title, "benchmark", "model", "judge")
    for label in ("answers", "by judge only", "unread", "alike"):
        table.add_column(label, justify="right", no_wrap=True)
    for row in rows:
        counts = (f"{count:,}" for count in (row.answers, row.only_judge, row.unread))
        alike = agreement_text(row.agreement) if row.agreement else NOTHING
        table.add_row(row.benchmark, row.subject, row.judge, *counts, alike)
    return table


def label_table(rows: Sequence[ReportedGap]) -> Table:
    """Return how far our verdicts and the labels that came with recorded samples agree, of those that have any."""
    title = "samples right by the label they came with only, by ours only, alike in percent"
    table = new_table(title, "benchmark", "model")
    for label in ("label only", "ours only", "alike"):
        table.add_column(label, justify="right", no_wrap=True)
    for row in rows:
        if labels := row.labels:
            both = labels.agreement
            counts = (f"{both.only_judge_correct:,}", f"{both.only_grader_correct:,}") if both else (NOTHING, NOTHING)
            table.add_row(row.benchmark, row.subject, *counts, agreement_text(both) if both else NOTHING)
    return table


def comparison_tables(experiment: Experiment, rows: Sequence[ReportedStudent]) -> Iterator[Table]:
    """Yield the differences of each student to its base, and of students side by side, paired over problems."""
    for name, base in dict.fromkeys((row.student, row.base) for row in rows):
        of_pair = [row for row in rows if (row.student, row.base) == (name, base)]
        yield _differences(experiment, f"{name} minus {base}", of_pair, COMPARED)
        if of_pair[0].relation == SIDE_BY_SIDE:
            yield _differences(experiment, f"{name} minus {base}, further", of_pair, SIDE_BY_SIDE_TOO)


def _differences(experiment: Experiment, title: str, rows: Sequence[ReportedStudent], scores: Sequence[str]) -> Table:
    table = new_table(f"{title}, in points [95 % interval]", "benchmark")
    answers = scores == SIDE_BY_SIDE_TOO
    for score in scores:
        table.add_column(LABELS[score].format(k=experiment.k), justify="right", no_wrap=True)
    if answers:
        table.add_column("distinct answers", justify="right", no_wrap=True)
    for row in rows:
        counted = [_answers(row.distinct_answers)] if answers else []
        table.add_row(row.benchmark, *(difference(getattr(row, score)) for score in scores), *counted)
    return table


def _answers(change: Change | None) -> str:
    return f"{change.base:.2f} → {change.student:.2f}" if change else NOTHING


def new_table(title: str, *labels: str) -> Table:
    shape: dict[str, Any] = {"box": None, "padding": (0, 1, 0, 0), "pad_edge": False, "min_width": len(title)}
    table = Table(title=f"\n{title}", title_justify="left", **shape)
    for label in labels:
        table.add_column(label, overflow="fold")
    return table


def difference(interval: Interval | None) -> Text:
    return Text(f"{points(interval.estimate)} {between(interval)}" if interval else NOTHING)
