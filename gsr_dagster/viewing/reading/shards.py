"""Shards of artifacts as views of DuckDB."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb

from gsr_dagster.method.rows import Row

# Of what is not there: the columns that are asked for by name.
EMPTY = "select null::varchar as refinement_id, null::varchar as text, null::varchar as finish_reason where false"


def view(database: duckdb.DuckDBPyConnection, name: str, shards: Sequence[Path]) -> None:
    """Make a view of shards, in their order; one without rows where there are no shards."""
    files = [str(path) for path in shards]
    rows = database.read_parquet(files, union_by_name=True) if files else database.sql(EMPTY)
    rows.create_view(name)


def records(database: duckdb.DuckDBPyConnection, query: str, values: Sequence[Any] = ()) -> list[Row]:
    """Return the rows of a query by their columns. Several threads may ask at the same time."""
    answered = database.cursor().execute(query, list(values))
    names = [column[0] for column in answered.description or ()]
    return [dict(zip(names, row, strict=True)) for row in answered.fetchall()]
