"""The rows that a student learned from, by the page, and one row with its prompt and text."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

import duckdb

from gsr_dagster.experiment.keys import ArtifactKey
from gsr_dagster.method.prompting.prompts import Message
from gsr_dagster.method.rejection_sampling import ending, teaches
from gsr_dagster.method.rows import Row
from gsr_dagster.operations.provenance import TaughtRow, sample_id
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


@dataclass(frozen=True)
class Sibling:
    """Another text of the teacher to the same prompt, graded, or a rollout of a student that learned from rewards.

    ``row_id`` is its row of the training set, None where it has none; ``why`` says whether it was kept, or what it
    was worth.
    """

    id: str
    row: Row
    ended: str
    row_id: str | None
    why: str


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


def siblings(shown: TaughtRow) -> list[Sibling]:
    """Return what else the teacher wrote to the prompt of a row, and which of it is in the training set too.

    Raises ArtifactError where the row's own sample is not there any more.
    """
    if shown.student.by_rewards:
        return [_rollout(row) for row in shown.rollouts()]
    query = "select teacher_sample_id, row_id from learned where problem_id = ?"
    learned = records(_opened(shown.store, shown.student_name), query, [shown.row["problem_id"]])
    row_of = {row["teacher_sample_id"]: row["row_id"] for row in learned}
    others = {sample_id(sample): sample for sample in shown.samples}
    del others[shown.row["teacher_sample_id"]]
    return [
        Sibling(name, sample, ending(sample["finish_reason"]), row_of.get(name), _kept(row_of.get(name), sample))
        for name, sample in others.items()
    ]


def _kept(row_id: str | None, sample: Row) -> str:
    if row_id:
        return "in the training set too"
    return "right, and not chosen" if teaches(sample) else "not kept"


def _rollout(row: Row) -> Sibling:
    why = f"step {row['step']}, reward {row['reward']:g}, advantage {row['advantage']:+.2f}".replace("-", "−")
    return Sibling(row["rollout_id"], {**row, "correct": row["reward"] > 0}, ending(row["finish_reason"]), None, why)


def _opened(store: ArtifactStore, student: str) -> duckdb.DuckDBPyConnection:
    database = duckdb.connect()
    view(database, "learned", store.local_shards(ArtifactKey("training_sets", student)))
    return database
