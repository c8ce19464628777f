"""`gsr report`: the table of what was measured, and where report.html is."""

from collections.abc import Sequence

import click
from rich.table import Table

from assets.reports.collecting import by_benchmark, reported_aggregations, reported_gap, reported_judgements
from assets.reports.fingerprints import StudentComparison
from gsr_dagster.commands.options import console, with_experiment
from gsr_dagster.commands.tables import (
    aggregation_table,
    agreement_table,
    comparison_tables,
    controls_table,
    crossed_table,
    judged_score_table,
    label_table,
    pool_table,
    population_table,
    score_table,
)
from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.experiment.keys import LANES, ArtifactKey, EvaluationKey
from gsr_dagster.operations.home import artifact_store
from gsr_dagster.viewing.reading.doubts import doubts, in_words
from resources.reporting.pools import named_notes, needs_words
from resources.reporting.report_rows import ReportedStudent
from resources.store.artifacts import ArtifactStore
from resources.store.errors import ArtifactError


@click.command("report")
@with_experiment
def command(experiment: Experiment) -> None:
    """Print the table of what was measured, and where report.html is."""
    try:
        print_report(experiment)
    except ArtifactError as error:
        raise ArtifactError(f"{error}: gsr run does") from None


def print_report(experiment: Experiment) -> None:
    """Print the scores of every model and student, what is missing of them, and the path of report.html.

    Raises ArtifactError where no gap report is there at all.
    """
    store, comparison = artifact_store(experiment), StudentComparison(experiment).key()
    evaluations = [evaluation for lane in LANES for evaluation in experiment.evaluations(lane)]
    made, missing = _made(store, evaluations, "gap_reports")
    if not made:
        store.existing(missing[0])
    gaps = by_benchmark(experiment, [reported_gap(experiment, store, evaluation) for evaluation in made])
    console.print(score_table(experiment, gaps))
    if needs_words(gaps):
        _print(pool_table(experiment, gaps))
        console.print("\n" + "\n".join(named_notes(gaps)), markup=False, highlight=False, soft_wrap=True)
    _print(label_table(gaps))
    if experiment.aggregations:
        tabled, untabled = _made(store, evaluations, "aggregations")
        aggregations = reported_aggregations(experiment, store, tabled)
        for write in (aggregation_table, controls_table, crossed_table, population_table):
            _print(write(aggregations))
        missing += untabled
    if experiment.judge:
        judged, unjudged = _made(store, evaluations, "judge_verdicts")
        judgements = reported_judgements(experiment, store, judged)
        _print(judged_score_table(experiment, judgements))
        _print(agreement_table(judgements))
        missing += unjudged
    if store.manifest(comparison) is None:
        missing.append(comparison)
    else:
        _print_students(experiment, store, comparison)
        console.print(f"\nReport: {store.local_files(comparison) / 'report.html'}", soft_wrap=True)
    if doubted := len(doubts(experiment)):
        console.print(f"\n{in_words(doubted)}: gsr view shows them, and no score changes.", soft_wrap=True)
    if missing:
        names = ", ".join(map(str, missing))
        console.print(f"\nMissing: {names}. gsr run makes them.", markup=False, highlight=False, soft_wrap=True)


def _print(table: Table) -> None:
    """Print a table that has rows: while a run is under way some have none yet."""
    if table.row_count:
        console.print(table)


def _made(
    store: ArtifactStore, evaluations: Sequence[EvaluationKey], asset: str
) -> tuple[list[EvaluationKey], list[ArtifactKey]]:
    """Return the evaluations whose artifact of a name is there, and the artifacts that are missing."""
    made = [evaluation for evaluation in evaluations if store.manifest(evaluation.artifact(asset)) is not None]
    return made, [evaluation.artifact(asset) for evaluation in evaluations if evaluation not in made]


def _print_students(experiment: Experiment, store: ArtifactStore, comparison: ArtifactKey) -> None:
    if not experiment.students:
        return
    for table in comparison_tables(experiment, ReportedStudent.parse(store.read(comparison))):
        _print(table)
    if any(student.teachers == (student.base,) for student in experiment.students.values()):
        note = "The teacher is the student's own base, sampled more often: only its correct answers teach."
        console.print(f"\n{note}", soft_wrap=True)
