"""The gsr command.

gsr -e demo run                     materialize an experiment, with progress bars
gsr plan                            print what a run would cost, before it starts
gsr report                          print its table again, and where report.html is
gsr regrade --grader exact          grade stored samples again, and show what changes
gsr import FILE --to FOLDER ...     make an experiment of samples drawn before
gsr backfill --family smollm2       launch a family's partitions on the page
gsr lineage smollm2-135m-gsr        walk a student back to the problems
gsr lineage --row ID                say why a row is in a training set; --problem ID: who saw a problem
gsr verify                          hold every stored file against its hash
gsr sql "from base_gap_reports"     ask DuckDB, with a view per asset
"""

import os
import sys
import time
from pathlib import Path
from typing import get_args

import click
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console

from gsr_dagster.experiment import PROJECT, Experiment, GraderName
from gsr_dagster.experiment_file import ExperimentError, experiment_path, load_experiment
from gsr_dagster.instance import limit_pool, prepare_instance
from gsr_dagster.registry import Domain
from resources.recorded import FIELDS, FORMS
from resources.texts import printable

# What is printed may come from a model: it is no markup, and names no emoji.
console = Console(highlight=False, markup=False, emoji=False)


class Commands(click.Group):
    """The commands. What one of them says went wrong may hold a model's output: it is shown without control characters."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except click.UsageError:
            raise
        except click.ClickException as error:
            raise click.ClickException(printable(error.message)) from None
        except OSError as error:  # a disk, a folder or a connection
            raise click.ClickException(printable(str(error))) from None
        except (BotoCoreError, ClientError) as error:
            raise click.ClickException(f"{os.environ.get('GSR_ARTIFACTS')}: {printable(str(error))}") from None


@click.group(cls=Commands)
@click.option("--experiment", "-e", "name", help="A YAML file, or the name of one in experiments/. [$GSR_EXPERIMENT]")
@click.pass_context
def main(context: click.Context, name: str | None) -> None:
    """Generative Self-Refinement, from problems to the Refinement Gap."""
    try:
        path = experiment_path(name)
        # Dagster loads the code location by this name, here and in the processes of the page.
        os.environ["GSR_EXPERIMENT"] = str(path)
        context.obj = load_experiment(path)
    except ExperimentError as error:
        raise click.ClickException(str(error)) from None


@main.command()
@click.pass_obj
def run(experiment: Experiment) -> None:
    """Materialize what is not current, in this process, and print the table."""
    import sqlalchemy.exc

    from gsr_dagster.definitions import artifact_store
    from gsr_dagster.running import records_failed, run_experiment
    from resources.artifacts import ArtifactError
    from resources.weights import SourceError

    started = time.monotonic()
    try:
        prepare_instance()
        materialized = run_experiment(experiment, artifact_store(experiment), console)
        show_report(experiment)
    except (ArtifactError, SourceError) as error:
        raise click.ClickException(str(error)) from None
    except sqlalchemy.exc.OperationalError as error:
        raise click.ClickException(records_failed(error.orig)) from None
    seconds = time.monotonic() - started
    if materialized:
        console.print(f"{materialized} assets materialized in {seconds:.0f} s.")
    else:
        console.print(f"Nothing to do: every asset of {experiment.name} is current ({seconds:.1f} s).")


@main.command()
@click.option(
    "--rate", default=5000, type=click.IntRange(1), show_default=True, help="Tokens/s a GPU samples with a 7B model."
)
@click.option(
    "--training-rate",
    default=10_000,
    type=click.IntRange(1),
    show_default=True,
    help="Tokens/s a GPU trains a 7B model with.",
)
@click.option(
    "--share",
    default=0.4,
    type=click.FloatRange(0, 1),
    show_default=True,
    help="Of the token limits, what is really written.",
)
@click.pass_obj
def plan(experiment: Experiment, rate: float, training_rate: float, share: float) -> None:
    """Print what a run would cost before it starts; nothing is loaded or sampled."""
    from gsr_dagster.planning import disk_bytes, plan
    from gsr_dagster.tables import plan_table
    from resources.artifacts import ArtifactError

    try:
        steps = plan(experiment)
    except ArtifactError as error:
        raise click.ClickException(str(error)) from None
    console.print(plan_table(steps, rate, training_rate, share))
    hours = sum(step.hours(training_rate if step.trains else rate, share) for step in steps)
    disk = disk_bytes(experiment, steps, share)
    samples = sum(step.samples for step in steps if not step.trains)
    console.print(
        f"\n{samples:,} samples; {hours:,.0f} GPU hours where {share:.0%} of the tokens are written, at {rate:,} tokens/s "
        f"of sampling and {training_rate:,} of training with a 7B model, others in proportion to their parameters; "
        f"{disk['weights'] / 1e9:,.1f} GB of weights, {disk['samples'] / 1e9:,.2f} GB of samples.",
        soft_wrap=True,
    )


@main.command()
@click.pass_obj
def report(experiment: Experiment) -> None:
    """Print the table of what was measured, and where report.html is."""
    from resources.artifacts import ArtifactError

    try:
        show_report(experiment)
    except ArtifactError as error:
        raise click.ClickException(f"{error}: gsr run does") from None


@main.command()
@click.option("--grader", type=click.Choice(get_args(GraderName)), help="The experiment's own by default.")
@click.option("--changes", "shown", default=20, show_default=True, help="How many changed verdicts to list.")
@click.pass_obj
def regrade(experiment: Experiment, grader: GraderName | None, shown: int) -> None:
    """Grade the stored samples again, by today's version of a grader, without changing any artifact."""
    from gsr_dagster.definitions import artifact_store
    from gsr_dagster.regrading import regrade
    from gsr_dagster.tables import regraded_table
    from resources.artifacts import ArtifactError
    from resources.progress import terminal_bars

    try:
        with terminal_bars():
            rows = list(regrade(experiment, artifact_store(experiment), grader or experiment.evaluation.grader))
    except ArtifactError as error:
        raise click.ClickException(str(error)) from None
    if not rows:
        raise click.ClickException(f"{experiment.name} has no gap report yet: gsr run makes them")
    console.print(regraded_table(experiment, rows))
    changes = [change for row in rows for change in row.changes]
    for change in changes[:shown]:
        line = f"{change.sample_id}: gold {change.gold}, answer {change.answer}: {change.before} → {change.after}"
        console.print(printable(line), soft_wrap=True)
    if len(changes) > shown:
        console.print(f"… and {len(changes) - shown} more: --changes {len(changes)} lists all")


@main.command("import")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--to", "folder", required=True, type=click.Path(path_type=Path), help="The folder to write.")
@click.option("--model", required=True, help="Its key, FAMILY-SCALE, as in qwen2.5math-1.5b.")
@click.option("--parameters", required=True, type=float, help="As in 1.5e9.")
@click.option(
    "--from", "form", default="rows", show_default=True, type=click.Choice(FORMS), help="Who wrote the files."
)
@click.option(
    "--field", "fields", multiple=True, help="FIELD=NAME where a field has another name, as in response=text."
)
@click.option("-k", default=4, show_default=True, type=click.IntRange(1), help="Candidates in a group.")
@click.option("--samples", type=click.IntRange(1), help="Samples a problem; as many as all problems have by default.")
@click.option("--domain", default="math", show_default=True, type=click.Choice(get_args(Domain)))
def import_(files, folder, model, parameters, form, fields, k, samples, domain) -> None:
    """Make an experiment of samples that someone drew before, and print its scores.

    A file is JSON lines (or .gz of it) or Parquet with a row a sample: problem_id, problem,
    answer, response, and where known generated_tokens and finish_reason. A row with
    candidates, the texts it was shown, is a refinement.
    """
    from gsr_dagster.importing import import_samples, recorded_scores
    from gsr_dagster.tables import recorded_table
    from resources.artifacts import ArtifactError
    from resources.progress import terminal_bars
    from resources.recorded import ImportFileError

    mapped = dict(field.partition("=")[::2] for field in fields)
    if unknown := set(mapped) - set(FIELDS):
        raise click.ClickException(f"--field {', '.join(unknown)}: there are {', '.join(FIELDS)}")
    try:
        imported = import_samples(files, folder, form, mapped, model, parameters, k, domain, samples)
        with terminal_bars():
            scores = recorded_scores(folder, "math-verify")
    except (ImportFileError, ExperimentError, ArtifactError, OSError) as error:
        raise click.ClickException(str(error)) from None
    console.print(recorded_table(model, scores))
    console.print(
        f"{imported.problems} problems, {imported.samples} candidates, {imported.refinements} refinements in {folder}."
    )
    for reason, count in imported.left_out.items():
        console.print(f"Left out: {count} {reason}.")
    if imported.tokens_are_words:
        console.print("No token counts were recorded: words are counted instead.")


@main.command()
@click.option("--family", required=True, help="As in qwen2.5: the models qwen2.5-*.")
@click.option("--benchmark", "benchmarks", multiple=True, help="One of the experiment's, and another; all by default.")
@click.option("--lane", default="base", show_default=True, type=click.Choice(["base", "student"]))
@click.option("--only-missing", is_flag=True, help="Launch nothing for partitions that are current.")
@click.option("--wait", is_flag=True, help="Stay until every run has ended, and fail where one failed.")
@click.option("--page", "address", default="http://localhost:3000", show_default=True, help="The Dagster page.")
@click.pass_obj
def backfill(experiment: Experiment, family, benchmarks, lane, only_missing, wait, address) -> None:
    """Launch the evaluation of a family's models, or of its students, on the page: a run a partition."""
    from gsr_dagster.backfilling import BackfillError, Page, evaluation_lane, family_partitions, follow, to_launch
    from resources.artifacts import ArtifactError
    from resources.progress import terminal_bars
    from resources.weights import SourceError

    page = Page(address.rstrip("/"))
    try:
        chosen = evaluation_lane(experiment, lane)
        partitions = family_partitions(experiment, chosen, family, benchmarks)
        partitions, current = to_launch(experiment, chosen, partitions, only_missing)
        if not partitions:
            console.print(f"Nothing to do: {current} partitions of {family} are current.")
            return
        backfill_id = page.launch(experiment, chosen, family, partitions)
        skipped = f", {current} are current" if current else ""
        console.print(f"Backfill {backfill_id}: {len(partitions)} partitions of {family}{skipped}.")
        console.print(page.link(backfill_id), soft_wrap=True)
        if wait:
            with terminal_bars() as bars:
                ended = []
                for partition, status in follow(page, backfill_id, family, partitions):
                    ended.append(status)
                    bars.console.print(f"{partition:<50} {status.lower()}", markup=False, highlight=False)
            if failed := sum(status != "SUCCESS" for status in ended):
                raise click.ClickException(f"{failed} of {len(partitions)} partitions failed: the page says why")
    except (BackfillError, ArtifactError, SourceError) as error:
        raise click.ClickException(str(error)) from None


@main.command()
@click.argument("student", required=False)
@click.option("--row", help="The id of a training row: why is it in the set?")
@click.option("--problem", help="The id of a problem: which students saw it?")
@click.pass_obj
def lineage(experiment: Experiment, student: str | None, row: str | None, problem: str | None) -> None:
    """Walk a student's checkpoint back to the problems by the manifests' hashes, or ask about one row or problem."""
    from gsr_dagster.definitions import artifact_store
    from gsr_dagster.provenance import UnknownIdError, who_saw, why_row
    from resources.artifacts import ArtifactError
    from resources.lineage import walk

    if sum(asked is not None for asked in (student, row, problem)) != 1:
        raise click.UsageError("name one of: a student, --row ID, --problem ID")
    store = artifact_store(experiment)
    if student is None:
        try:
            for line in (
                why_row(experiment, store, row) if row is not None else who_saw(experiment, store, problem or "")
            ):
                console.print(printable(line), soft_wrap=True)
        except (UnknownIdError, ArtifactError) as error:
            raise click.ClickException(str(error)) from None
        return
    if student not in experiment.students:
        known = ", ".join(experiment.students) or "none"
        raise click.ClickException(f"no student {student!r}; there are: {known}")
    links = list(walk(store, "lora_checkpoints", student))
    for link in links:
        style = None if link.holds else "bold red"
        console.print("  " * link.depth + link.text, style=style, soft_wrap=True)
    if not all(link.holds for link in links):
        sys.exit(1)


@main.command()
@click.option("--drop", is_flag=True, help="Remove what is damaged: gsr run makes it again.")
@click.pass_obj
def verify(experiment: Experiment, drop: bool) -> None:
    """Hold every stored file against its hash, and name those that are damaged or missing."""
    from gsr_dagster.definitions import artifact_store

    store = artifact_store(experiment)
    faults = 0
    for name, fault in store.damage():
        faults += 1
        console.print(fault, style="bold red", markup=False, soft_wrap=True)
        if drop:
            store.objects.remove(name)
    if not faults:
        console.print(f"Every stored file of {experiment.name} is what its hash says.")
    elif drop:
        console.print(f"{faults} dropped: gsr run makes again what is missing.")
    else:
        raise click.ClickException(f"{faults} damaged or missing: gsr verify --drop, then gsr run, makes them again")


@main.command()
@click.argument("query", required=False)
@click.pass_obj
def sql(experiment: Experiment, query: str | None) -> None:
    """Run a query on the artifacts, or list the views where none is given."""
    import duckdb

    from gsr_dagster.definitions import artifact_store
    from resources.artifacts import ArtifactError
    from resources.sql import session

    try:
        print(printable(str(session(artifact_store(experiment)).sql(query or "show tables"))))
    except (ArtifactError, duckdb.Error) as error:
        raise click.ClickException(str(error)) from None


@main.command()
@click.option("--port", default=3000, show_default=True)
def page(port: int) -> None:
    """Serve the Dagster page with everything that was materialized."""
    prepare_instance()
    limit_pool()
    os.environ.setdefault("GSR_PAGE_URL", f"http://localhost:{port}")  # where an alert's link leads
    dagster = Path(sys.executable).with_name("dagster")
    os.execv(dagster, ["dagster", "dev", "-w", str(PROJECT / "workspace.yaml"), "-p", str(port)])


def show_report(experiment: Experiment) -> None:
    """Print the scores of every model and student, and the path of report.html."""
    from assets.reports import aggregation_rows, gap_rows
    from gsr_dagster.definitions import artifact_store
    from gsr_dagster.tables import aggregation_table, comparison_tables, score_table
    from resources.manifests import ArtifactKey

    store = artifact_store(experiment)
    rows = gap_rows(experiment, store, "base") + gap_rows(experiment, store, "student")
    console.print(score_table(experiment, rows))
    if experiment.aggregations:
        console.print(aggregation_table(aggregation_rows(experiment, store)))
    if experiment.students:
        for table in comparison_tables(experiment, store.read(ArtifactKey("student_comparison"))):
            console.print(table)
        if any(student.teacher == student.base for student in experiment.students.values()):
            note = "The teacher is the student's own base, sampled more often: only its correct answers teach."
            console.print(f"\n{note}", soft_wrap=True)
    folder = store.local_files(ArtifactKey("student_comparison"))
    console.print(f"\nReport: {folder / 'report.html'}", soft_wrap=True)
