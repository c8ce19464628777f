"""`gsr sql`: DuckDB over the artifacts."""

import click
import duckdb

from gsr_dagster.commands.options import with_experiment
from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.operations.home import artifact_store
from resources.store.views import session
from resources.texts import printable


@click.command("sql")
@click.argument("query", required=False)
@with_experiment
def command(experiment: Experiment, query: str | None) -> None:
    """Run a query on the artifacts, or list the views where none is given."""
    try:
        print(printable(str(session(artifact_store(experiment)).sql(query or "show tables"))))
    except duckdb.Error as error:
        raise click.ClickException(str(error)) from None
