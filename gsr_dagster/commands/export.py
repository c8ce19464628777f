"""`gsr export`: a trained student in a folder that other tools load, and on the hub."""

import shlex
from pathlib import Path

import click

from assets.teaching.teaching_run import TeachingRun
from gsr_dagster.commands.options import console, with_experiment
from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.experiment.likeness import which
from gsr_dagster.operations.exporting.student_folder import export_student
from gsr_dagster.operations.home import artifact_store
from resources.models.pushing import PushError, push_folder, refuse_repository
from resources.texts import printable


@click.command("export")
@click.argument("student")
@click.option(
    "--to",
    "folder",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="A folder that is new, or empty.",
)
@click.option("--merged", is_flag=True, help="Write all weights, the adapter merged into its base.")
@click.option("--push", "repository", metavar="ORG/NAME", help="Upload the folder to this repository of the hub.")
@click.option("--public", is_flag=True, help="Let everybody read a repository that --push makes.")
@with_experiment
def command(
    experiment: Experiment, student: str, folder: Path, merged: bool, repository: str | None, public: bool
) -> None:
    """Write a trained STUDENT as other tools load it, with tokenizer, chat template and a model card."""
    if student not in experiment.students:
        raise click.UsageError(f"no student {student!r}{which(student, list(experiment.students))}")
    if public and not repository:
        raise click.UsageError("--public is about --push ORG/NAME")
    if repository:
        refuse_repository(repository, public)
    folder = folder.expanduser().resolve()
    card = export_student(TeachingRun(experiment, artifact_store(experiment), student), folder, merged)
    console.print(f"{student}, {'all weights' if card.whole else 'its adapter'}: {folder}", soft_wrap=True)
    if not card.whole and not card.public_base:
        console.print(
            f"There are no public weights of {card.root}, which tools need to load the adapter: --merged writes all weights.",
            soft_wrap=True,
        )
    if repository:
        try:
            address = push_folder(folder, repository, public)
        except PushError as error:
            upload = shlex.join(["hf", "upload", *([] if public else ["--private"]), repository, str(folder)])
            raise PushError(f"{error}. The folder is whole, and `{upload}` pushes it too") from None
        console.print(printable(f"Pushed: {address}"), soft_wrap=True)
