"""`gsr report`: the table of what was measured, and where report.html is."""

import click

from assets.reports.collecting import reported_aggregations, reported_gaps
from assets.reports.fingerprints import StudentComparison
from gsr_dagster.commands.options import console, with_experiment
from gsr_dagster.commands.tables import aggregation_table, comparison_tables, score_table
from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.experiment.keys import LANES
from gsr_dagster.operations.home import artifact_store
from resources.reporting.report_rows import ReportedStudent
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
    """Print the scores of every model and student, and the path of report.html."""
    store, comparison = artifact_store(experiment), StudentComparison(experiment).key()
    console.print(score_table(experiment, [gap for lane in LANES for gap in reported_gaps(experiment, store, lane)]))
    if experiment.aggregations:
        console.print(aggregation_table(reported_aggregations(experiment, store)))
    if experiment.students:
        for table in comparison_tables(experiment, ReportedStudent.parse(store.read(comparison))):
            console.print(table)
        if any(student.teacher == student.base for student in experiment.students.values()):
            note = "The teacher is the student's own base, sampled more often: only its correct answers teach."
            console.print(f"\n{note}", soft_wrap=True)
    console.print(f"\nReport: {store.local_files(comparison) / 'report.html'}", soft_wrap=True)
