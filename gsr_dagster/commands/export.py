"""`gsr export`: a trained student in a folder that other tools load, and on the hub; or the samples, for other tools."""

import shlex
from collections.abc import Collection, Iterator
from pathlib import Path

import click

from assets.teaching.teaching_run import TeachingRun
from gsr_dagster.commands.options import console, with_experiment
from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.experiment.likeness import which
from gsr_dagster.operations.exporting.new_folder import refuse_occupied
from gsr_dagster.operations.exporting.samples.choosing import Asked, choose
from gsr_dagster.operations.exporting.samples.folder import FORMS, WHOLE, export_samples
from gsr_dagster.operations.exporting.student_folder import export_student
from gsr_dagster.operations.home import artifact_store
from resources.models.pushing import PushError, push_folder, refuse_repository
from resources.reporting.cards.samples_card import SamplesCard
from resources.texts import printable


@click.command("export")
@click.argument("student", required=False)
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
@click.option("--samples", is_flag=True, help="Write the samples and training rows in place of a student.")
@click.option("--as", "form", type=click.Choice(list(FORMS)), help="Whose form samples have.  [default: datasets]")
@click.option("--model", "models", multiple=True, help="Samples of this model or student alone; another names another.")
@click.option(
    "--benchmark", "benchmarks", multiple=True, help="Samples on this benchmark alone; another names another."
)
@click.option("--gated", is_flag=True, help="Write problems of gated data sets too, which must not be published.")
@with_experiment
def command(
    experiment: Experiment,
    student: str | None,
    folder: Path,
    merged: bool,
    repository: str | None,
    public: bool,
    samples: bool,
    form: str | None,
    models: tuple[str, ...],
    benchmarks: tuple[str, ...],
    gated: bool,
) -> None:
    """Write a trained STUDENT as other tools load it, with tokenizer, chat template and a model card.

    Or with --samples what the models wrote, with the grader's verdicts: as a data set for load_dataset,
    with refinements and training rows, or the pools as logs of inspect_ai or lm-eval.
    """
    of_student = {"STUDENT": student, "--merged": merged, "--push": repository, "--public": public}
    of_samples = {"--as": form, "--model": models, "--benchmark": benchmarks, "--gated": gated}
    if surplus := [option for option, given in (of_student if samples else of_samples).items() if given]:
        other = "a student's weights, which --samples does not write" if samples else "samples: write --samples too"
        raise click.UsageError(f"{surplus[0]} is about {other}")
    folder = folder.expanduser().resolve()
    if samples:
        _export_samples(experiment, Asked(models, benchmarks, gated), folder, form or "datasets")
    elif student is None:
        raise click.UsageError("name a STUDENT, or write --samples")
    else:
        _export_student(experiment, student, folder, merged, repository, public)


def _export_student(
    experiment: Experiment, student: str, folder: Path, merged: bool, repository: str | None, public: bool
) -> None:
    if student not in experiment.students:
        raise click.UsageError(f"no student {student!r}{which(student, list(experiment.students))}")
    if public and not repository:
        raise click.UsageError("--public is about --push ORG/NAME")
    if repository:
        refuse_repository(repository, public)
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


def _export_samples(experiment: Experiment, asked: Asked, folder: Path, form: str) -> None:
    _refuse_unknown("model or student", asked.models, [*experiment.subjects("base"), *experiment.students])
    _refuse_unknown("benchmark", asked.benchmarks, list(experiment.benchmarks))
    refuse_occupied(folder)
    chosen = choose(experiment, artifact_store(experiment), asked, with_more_than_pools=form in WHOLE)
    card = export_samples(chosen, folder, form)
    for line in said_of(card):
        console.print(printable(line), soft_wrap=True)
    console.print(f"{sum(part.rows for part in card.parts):,} rows in {folder}", soft_wrap=True)


def said_of(card: SamplesCard) -> Iterator[str]:
    """Yield what was written, what is missing of it, and what must not be published, as lines."""
    for part in card.parts:
        yield f"{part.name}: {part.rows:,} rows of {', '.join(part.models)}"
    for name, why in card.gated.items():
        if card.with_gated:
            yield f"Do not publish this folder. It holds the problems of {name}: {why}."
        else:
            yield f"Left out: what was written on {name}: {why}. --gated takes it too."
    for name, what in card.left_out.items():
        yield f"Left out of {name}: {what}."
    if card.missing:
        named = "; ".join(f"{name}: {why}" for name, why in card.missing.items())
        yield f"Missing: {len(card.missing)} artifacts, which gsr run makes. {named}."


def _refuse_unknown(what: str, names: Collection[str], known: Collection[str]) -> None:
    for name in names:
        if name not in known:
            raise click.UsageError(f"no {what} {name!r}{which(name, known)}")
