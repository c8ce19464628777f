"""The gsr command.

gsr run experiments/demo.yaml       materialize an experiment, with progress bars
gsr report                          print its table again, and where report.html is
gsr regrade --grader exact          grade stored samples again, and show what changes
gsr lineage smollm2-135m-gsr        walk a student back to the problems
gsr sql "from base_gap_reports"     ask DuckDB, with a view per asset
"""

import os
import sys
import time
from pathlib import Path
from typing import get_args

import click
from rich.console import Console

from gsr_dagster.experiment import Experiment, ExperimentError, GraderName, experiment_path, load_experiment

console = Console(highlight=False)

DAGSTER_YAML = """\
telemetry:
  enabled: false
nux:
  enabled: false
python_logs:
  managed_python_loggers: [assets, resources]
  python_log_level: INFO
"""


@click.group()
@click.option("--experiment", "-e", "name", help="A YAML file, or the name of one in experiments/. [$GSR_EXPERIMENT]")
@click.pass_context
def main(context: click.Context, name: str | None) -> None:
    """Generative Self-Refinement, from problems to the Refinement Gap."""
    path = experiment_path(name)
    # Dagster loads the code location by this name, here and in the processes of the page.
    os.environ["GSR_EXPERIMENT"] = str(path)
    try:
        context.obj = load_experiment(path)
    except ExperimentError as error:
        raise click.ClickException(str(error)) from None


@main.command()
@click.pass_obj
def run(experiment: Experiment) -> None:
    """Materialize what is not current, in this process, and print the table."""
    from gsr_dagster.definitions import artifact_store
    from gsr_dagster.running import run_experiment
    from resources.artifacts import ArtifactError
    from resources.weights import SourceError

    started = time.monotonic()
    prepare_instance()
    try:
        materialized = run_experiment(experiment, artifact_store(experiment), console)
    except (ArtifactError, SourceError) as error:
        raise click.ClickException(str(error)) from None
    show_report(experiment)
    seconds = time.monotonic() - started
    if materialized:
        console.print(f"{materialized} assets materialized in {seconds:.0f} s.")
    else:
        console.print(f"Nothing to do: every asset of {experiment.name} is current ({seconds:.1f} s).")


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
        console.print(line, markup=False, soft_wrap=True)
    if len(changes) > shown:
        console.print(f"… and {len(changes) - shown} more: --changes {len(changes)} lists all")


@main.command()
@click.argument("student")
@click.pass_obj
def lineage(experiment: Experiment, student: str) -> None:
    """Walk a student's checkpoint back to the problems, by the manifests' hashes."""
    from gsr_dagster.definitions import artifact_store
    from resources.lineage import walk

    if student not in experiment.students:
        known = ", ".join(experiment.students) or "none"
        raise click.ClickException(f"no student {student!r}; there are: {known}")
    links = list(walk(artifact_store(experiment), "lora_checkpoints", student))
    for link in links:
        style = None if link.holds else "bold red"
        console.print("  " * link.depth + link.text, style=style, markup=False, soft_wrap=True)
    if not all(link.holds for link in links):
        sys.exit(1)


@main.command()
@click.argument("query", required=False)
@click.pass_obj
def sql(experiment: Experiment, query: str | None) -> None:
    """Run a query on the artifacts, or list the views where none is given."""
    import duckdb

    from gsr_dagster.definitions import artifact_store
    from resources.sql import session

    connection = session(artifact_store(experiment))
    try:
        print(connection.sql(query or "show tables"))
    except duckdb.Error as error:
        raise click.ClickException(str(error)) from None


@main.command()
@click.option("--port", default=3000, show_default=True)
def page(port: int) -> None:
    """Serve the Dagster page with everything that was materialized."""
    from gsr_dagster.experiment import PROJECT

    prepare_instance()
    dagster = Path(sys.executable).with_name("dagster")
    os.execv(dagster, ["dagster", "dev", "-w", str(PROJECT / "workspace.yaml"), "-p", str(port)])


def prepare_instance() -> None:
    """Point Dagster at its instance in the project folder, unless $DAGSTER_HOME names one."""
    from gsr_dagster.definitions import home

    folder = Path(os.environ.setdefault("DAGSTER_HOME", str(home() / "dagster")))
    folder.mkdir(parents=True, exist_ok=True)
    settings = folder / "dagster.yaml"
    if not settings.exists():
        settings.write_text(DAGSTER_YAML)


def show_report(experiment: Experiment) -> None:
    """Print the scores of every model and student, and the path of report.html."""
    from assets.reports import aggregation_rows, gap_rows
    from gsr_dagster.definitions import artifact_store
    from gsr_dagster.tables import aggregation_table, comparison_tables, score_table
    from resources.artifacts import ArtifactKey

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
    console.print(f"\nReport: {folder / 'report.html'}", markup=False, soft_wrap=True)
