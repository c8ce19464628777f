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


@dataclass(frozen=True)
class Candidate:
    """A candidate that a row's prompt shows, graded; ``row`` is None where it is not there any more."""

    id: str
    row: Row | None
    ended: str


@dataclass(frozen=True)
class Learned:
    """The checkpoint that learned a row, by the head of its data version, after so many steps.

    ``current`` says whether it learned from the training set as it is now.
    """

    key: ArtifactKey
    version: str
    steps: int
    current: bool


def training_page(store: ArtifactStore, student: str, page: int, **wanted: str) -> TrainingPage:
    """Return a page of a student's rows, of those with the wanted values ("" is any).

    Raises ArtifactError where there is no training set.
    """
    database = _opened(store, student)
    values = [value for value in wanted.values() if value]
    asked = " and ".join(f"{name} = ?" for name, value in wanted.items() if value)
    where = f"where {asked}" if asked else ""
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
        return [_rollout(row) for row in shown.rollouts]
    query = "select teacher_sample_id, row_id from learned where problem_id = ?"
    learned = records(_opened(shown.store, shown.student_name), query, [shown.row["problem_id"]])
    row_of = {row["teacher_sample_id"]: row["row_id"] for row in learned}
    others = {sample_id(sample): sample for sample in shown.samples}
    del others[shown.row["teacher_sample_id"]]
    return [
        Sibling(name, sample, ending(sample["finish_reason"]), row_of.get(name), _kept(row_of.get(name), sample))
        for name, sample in others.items()
    ]


def candidates_shown(shown: TaughtRow) -> list[Candidate]:
    """Return the candidates that a row's prompt shows, in its order; none of a direct prompt."""
    return [Candidate(name, row, ending(row["finish_reason"]) if row else "") for name, row in shown.candidates]


def learned_in(shown: TaughtRow) -> Learned | None:
    """Return the checkpoint that learned a row, None where the student is not trained yet."""
    key = ArtifactKey("lora_checkpoints", shown.student_name)
    manifest = shown.store.manifest(key)
    if manifest is None:
        return None
    learned_from = ArtifactKey("training_sets", shown.student_name)
    current = manifest.upstream.get(str(learned_from)) == shown.store.data_version(learned_from)
    return Learned(key, manifest.data_version[:12], manifest.rows, current)


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
