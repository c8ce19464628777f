"""`gsr sql`: DuckDB over the artifacts."""

import io
import re
from contextlib import redirect_stdout
from typing import Any

import click
import duckdb

from gsr_dagster.commands.options import with_experiment
from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.operations.home import artifact_store
from resources.store.views import quoted, session, view_names
from resources.texts import printable

# What is never cut: one copies it.
WHOLE = re.compile(r"(^|_)(ids?|names?|sha256)$|^partition$|^(column_type|explain_value)$")
MOST_CHARACTERS = 100
# DuckDB's own 20 would hide some of the views, and of a table by problem nearly all.
MOST_ROWS = 200
NO_LIMIT = 10**6


@click.command("sql")
@click.argument("query", required=False)
@with_experiment
def command(experiment: Experiment, query: str | None) -> None:
    """Run a query on the artifacts, or list the views where none is given."""
    try:
        store = artifact_store(experiment)
        connection = session(store, query) if query else duckdb.connect()
        answer = (
            connection.sql(query) if query else connection.sql("select unnest(?) as name", params=[view_names(store)])
        )
        if answer is not None:
            print(printable(table(answer)))
    except duckdb.Error as error:
        raise click.ClickException(str(error)) from None


def table(answer: duckdb.DuckDBPyRelation) -> str:
    """Return an answer as a table of text, with all its columns. Ids are whole; other texts are cut."""
    places = [f"c{place}" for place in range(len(answer.columns))]
    named = zip(answer.columns, answer.types, places, strict=True)
    chosen = ", ".join(f"{_shown(name, str(kind), place)} as {quoted(name)}" for name, kind, place in named)
    cut: Any = answer.query("answer", f"select {chosen} from answer as shown({', '.join(places)})")
    text = io.StringIO()
    with redirect_stdout(text):
        cut.show(max_width=NO_LIMIT, max_col_width=NO_LIMIT, max_rows=MOST_ROWS)
    return text.getvalue().rstrip("\n")


def _shown(name: str, kind: str, place: str) -> str:
    """Return the SQL of a column as it is shown: texts, and what is made of parts, have so many characters at most."""
    if WHOLE.search(name) or not (
        kind == "VARCHAR" or kind.endswith("]") or kind.startswith(("STRUCT", "MAP", "JSON"))
    ):
        return place
    text = f"({place}::varchar)"
    return f"case when length({text}) > {MOST_CHARACTERS} then {text}[:{MOST_CHARACTERS}] || ' …' else {text} end"
