"""The rows that a student learned from, by the page, and one row with its prompt and text."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

import duckdb

from gsr_dagster.experiment.keys import ArtifactKey
from gsr_dagster.method.prompting.prompts import Message
from gsr_dagster.method.rows import Row
from gsr_dagster.viewing.reading.shards import records, view
from resources.store.artifacts import ArtifactStore

ROWS_A_PAGE = 50


@dataclass(frozen=True)
class TrainingPage:
    """Some rows of a training set, ``found`` of ``of`` in all."""

    rows: Sequence[Row]
    found: int
    of: int


@dataclass(frozen=True)
class TrainingRow:
    """A row of a training set: the chat of its prompt, and the text that is learned."""

    row: Row
    prompt: Sequence[Message]


def training_page(store: ArtifactStore, student: str, kind: str | None, page: int) -> TrainingPage:
    """Return a page of a student's rows, of one kind or both. Raises ArtifactError where there is no training set."""
    database = _opened(store, student)
    where, values = ("where kind = ?", [kind]) if kind else ("", [])
    ((of,),) = database.execute("select count(*) from learned").fetchall()
    ((found,),) = database.execute(f"select count(*) from learned {where}", values).fetchall()
    query = f"select * from learned {where} limit {ROWS_A_PAGE} offset {(page - 1) * ROWS_A_PAGE}"
    return TrainingPage(records(database, query, values), found, of)


def training_row(store: ArtifactStore, student: str, row_id: str) -> TrainingRow | None:
    """Return a row by its id, None where the set has none of it. Raises ArtifactError where there is no training set."""
    found = records(_opened(store, student), "select * from learned where row_id = ?", [row_id])
    return TrainingRow(found[0], json.loads(found[0]["messages"])) if found else None


def _opened(store: ArtifactStore, student: str) -> duckdb.DuckDBPyConnection:
    database = duckdb.connect()
    view(database, "learned", store.local_shards(ArtifactKey("training_sets", student)))
    return database
