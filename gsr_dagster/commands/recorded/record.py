"""`gsr record`: the samples that a student was taught with, to teach with them elsewhere without their models."""

from pathlib import Path

import click

from assets.teaching.recording import record_teaching
from assets.teaching.teaching_run import TeachingRun
from gsr_dagster.commands.options import console, with_experiment
from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.experiment.likeness import which
from gsr_dagster.operations.home import artifact_store


@click.command("record")
@click.argument("student")
@click.option("--to", "folder", required=True, type=click.Path(file_okay=False, path_type=Path), help="A folder.")
@with_experiment
def command(experiment: Experiment, student: str, folder: Path) -> None:
    """Write the candidates, refinements and solutions of a STUDENT's teaching, right and wrong ones.

    A folder for each model. An experiment with the same problems, seed and k names it as that
    model's engine: {kind: recorded, path: FOLDER/MODEL}.
    """
    if student not in experiment.students:
        raise click.UsageError(f"no student {student!r}{which(student, list(experiment.students))}")
    counts = record_teaching(TeachingRun(experiment, artifact_store(experiment), student), folder)
    for model, count in counts.items():
        console.print(f"{count:,} samples of {model}: {folder / model}", markup=False, highlight=False, soft_wrap=True)
