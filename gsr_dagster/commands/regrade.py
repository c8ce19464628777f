"""`gsr regrade`: stored samples under another grader, or another version, without sampling and without a change."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import get_args

import click
from rich.table import Table

from assets.evaluation.evaluation_run import EvaluationRun
from assets.evaluation.gap_reports import score_groups
from assets.grading import graded_rows, scorable
from gsr_dagster.commands.options import console, with_experiment
from gsr_dagster.commands.tables import new_table
from gsr_dagster.experiment.experiment import Experiment, GraderName
from gsr_dagster.experiment.keys import LANES
from gsr_dagster.method.rows import Row
from gsr_dagster.method.scoring.gap_summary import GapSummary, Means, means_of
from gsr_dagster.operations.home import artifact_store
from resources.grading.grader import Grader
from resources.progress import terminal_bars
from resources.reporting.numbers import percent, points
from resources.store.artifacts import ArtifactStore
from resources.texts import printable


@dataclass(frozen=True)
class Change:
    """One answer whose verdict is another now."""

    sample_id: str
    gold: str
    answer: str | None
    before: str
    after: str


@dataclass(frozen=True)
class Regraded:
    """A gap report under both graders: the changed verdicts, and the scores of both."""

    benchmark: str
    subject: str
    samples: int
    changes: list[Change]
    before: GapSummary
    after: Means

    @property
    def sign_changed(self) -> bool:
        """Whether the gap is positive under one grader and not under the other, or negative."""
        before, after = self.before.refinement_gap or 0.0, self.after.refinement_gap or 0.0  # none: nothing was refined
        return (before > 0) != (after > 0) or (before < 0) != (after < 0)


@click.command("regrade")
@click.option("--grader", type=click.Choice(get_args(GraderName)), help="The experiment's own by default.")
@click.option("--changes", "shown", default=20, show_default=True, help="How many changed verdicts to list.")
@with_experiment
def command(experiment: Experiment, grader: GraderName | None, shown: int) -> None:
    """Grade the stored samples again, by today's version of a grader, without changing any artifact."""
    with terminal_bars():
        rows = list(regrade(experiment, artifact_store(experiment), grader or experiment.evaluation.grader))
    if not rows:
        raise click.ClickException(f"{experiment.name} has no gap report yet: gsr run makes them")
    console.print(regraded_table(experiment, rows))
    changes = [change for row in rows for change in row.changes]
    for change in changes[:shown]:
        line = f"{change.sample_id}: gold {change.gold}, answer {change.answer}: {change.before} → {change.after}"
        console.print(printable(line), soft_wrap=True)
    if len(changes) > shown:
        console.print(f"… and {len(changes) - shown} more: --changes {len(changes)} lists all")


def regraded_table(experiment: Experiment, rows: Sequence[Regraded]) -> Table:
    """Return the gap of every report under both graders, and how many verdicts changed."""
    table = new_table("verdicts and the Refinement Gap, as stored and as graded now", "benchmark", "model")
    for label in ("changed", f"maj@{experiment.k}", f"selfRef@{experiment.k}", "gap", "sign"):
        table.add_column(label, justify="right", no_wrap=True)
    for row in rows:
        pairs = ((row.before.maj_at_k, row.after.maj_at_k), (row.before.self_ref_at_k, row.after.self_ref_at_k))
        scores = [f"{percent(before)} → {percent(after)}" for before, after in pairs]
        gap = f"{points(row.before.refinement_gap)} → {points(row.after.refinement_gap)}"
        sign = "changed" if row.sign_changed else "same"
        table.add_row(row.benchmark, row.subject, f"{len(row.changes)} of {row.samples}", *scores, gap, sign)
    return table


def regrade(experiment: Experiment, store: ArtifactStore, grader: GraderName) -> Iterator[Regraded]:
    """Yield every gap report of the experiment that is there, graded again by the named grader of today."""
    evaluations = [evaluation for lane in LANES for evaluation in experiment.evaluations(lane)]
    order = list(experiment.benchmarks)
    for evaluation in sorted(evaluations, key=lambda evaluation: order.index(evaluation.benchmark)):
        if store.manifest(evaluation.artifact("gap_reports")):
            yield regraded(EvaluationRun(experiment, store, evaluation), Grader(name=grader))


def regraded(run: EvaluationRun, grader: Grader) -> Regraded:
    """Return one gap report, graded again."""
    before = run.store.summary(run.key.artifact("gap_reports"), GapSummary)
    problems, label = run.problems(), f"{run.key.benchmark} {run.subject}"
    old_graded = list(run.rows("graded_candidates", "candidate_id", "verdict"))
    old_refined = list(run.rows("gap_reports", "refinement_id", "verdict"))
    pool = {row["candidate_id"]: row for row in run.read("candidate_pools")}
    candidates = [pool[row["candidate_id"]] for row in old_graded]
    graded = graded_rows(grader, label, problems, candidates, run.model)
    refined = graded_rows(grader, label, problems, run.read("self_refinements"), run.model)
    scored_pool = run.pool(scorable(graded))
    groups, rows = score_groups(scored_pool, refined)
    golds = {row["problem_id"]: row["answer"] for row in problems}
    changes = [
        *_changes(golds, "candidate_id", old_graded, graded),
        *_changes(golds, "refinement_id", old_refined, rows),
    ]
    after = means_of(scored_pool, groups)
    return Regraded(run.key.benchmark, run.subject, len(graded) + len(rows), changes, before, after)


def _changes(golds: dict[str, str], id_column: str, before: list[Row], after: list[Row]) -> Iterator[Change]:
    verdicts = {row[id_column]: row["verdict"] for row in before}
    for row in after:
        sample_id = row[id_column]
        old = verdicts.get(sample_id, "not scored")
        if old != row["verdict"]:
            yield Change(sample_id, golds[row["problem_id"]], row["answer"], old, row["verdict"])
