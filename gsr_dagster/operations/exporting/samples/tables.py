"""The columns of exported samples and training rows, each with its type and what it holds, and Parquet files of them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.parquet as pq

from gsr_dagster.method.rows import Row, batches

Kind = Literal["candidates", "refinements", "training"]

# So many rows are in memory, and in a row group of a file.
ROWS_AT_ONCE = 256
TEXT, WHOLE, NUMBER, YES_NO, TEXTS = pa.string(), pa.int64(), pa.float64(), pa.bool_(), pa.list_(pa.string())
CHAT = pa.list_(pa.struct({"role": TEXT, "content": TEXT}))


@dataclass(frozen=True)
class Column:
    """A column of a table: its name, its type, and what it holds."""

    name: str
    type: pa.DataType
    holds: str


PROBLEM = (
    Column("problem", TEXT, "its text"),
    Column("answer", TEXT, "its reference answer"),
)
OF = (
    Column("model", TEXT, "who wrote the response: a model, or a student"),
    Column("benchmark", TEXT, "the benchmark"),
    Column("problem_id", TEXT, "the problem, by its id in the benchmark"),
    *PROBLEM,
)
WRITTEN = (
    Column("response", TEXT, "the whole text, with its thinking where the model thinks first"),
    Column(
        "finish_reason", TEXT, "why it ended: stop where the model ended it, length where the token limit cut it off"
    ),
    Column("prompt_tokens", WHOLE, "the tokens of its prompt"),
    Column("generated_tokens", WHOLE, "its own tokens"),
    Column("extracted_answer", TEXT, "the answer that was found in it; null where there is none"),
    Column("verdict", TEXT, "what the grader says of that answer"),
)
CORRECT = Column("correct", YES_NO, "whether it is right; null where the reference answer cannot be read")
COLUMNS: dict[Kind, tuple[Column, ...]] = {
    "candidates": (
        *OF,
        Column("candidate_id", TEXT, "the candidate: MODEL/BENCHMARK/ID/INDEX"),
        Column("sample_index", WHOLE, "its number among the candidates of the problem, from 0"),
        *WRITTEN,
        CORRECT,
        Column(
            "answer_class",
            WHOLE,
            "equal answers of a problem share a number, and 0 is that of the reference answer; null takes no part in a vote",
        ),
    ),
    "refinements": (
        *OF,
        Column("refinement_id", TEXT, "the refinement"),
        Column("group_id", TEXT, "the group of candidates that it refines"),
        Column("candidate_ids", TEXTS, "the candidates, in the order in which they were shown"),
        Column("candidates", TEXTS, "their whole texts, in that order"),
        *WRITTEN,
        CORRECT,
        Column("n_correct", WHOLE, "how many of the candidates are right"),
        Column("vote", NUMBER, "the value of their vote: 1 right, 0 wrong, a share where answers tie"),
    ),
    "training": (
        Column("row_id", TEXT, "the row; `gsr lineage --row` explains it"),
        Column("kind", TEXT, "refinement, or direct"),
        Column("problem_id", TEXT, "the problem; `gsr lineage --problem` says who saw it"),
        *PROBLEM,
        Column("candidate_ids", TEXTS, "the candidates in the prompt; none in that of a direct row"),
        Column("prompt", CHAT, "the chat that the student is shown"),
        Column("completion", CHAT, "what it learns to answer: one message, the teacher's text"),
        Column("teacher", TEXT, "who wrote that"),
        Column("teacher_sample_id", TEXT, "the teacher's sample"),
        Column("generated_tokens", WHOLE, "the tokens that the teacher generated for it"),
        Column("n_correct", WHOLE, "how many of the candidates in the prompt are right; null of a direct row"),
        Column("why", TEXT, "why the row was kept"),
    ),
}


def write_table(path: Path, columns: Sequence[Column], rows: Iterable[Row]) -> int:
    """Write rows as Parquet, a few at a time, and return how many there were. What is no column is left out."""
    schema = pa.schema([pa.field(one.name, one.type, metadata={"holds": one.holds}) for one in columns])
    path.parent.mkdir(parents=True, exist_ok=True)
    written = 0
    with pq.ParquetWriter(path, schema, compression="zstd") as file:
        for batch in batches(rows, ROWS_AT_ONCE):
            file.write_table(pa.Table.from_pylist(batch, schema=schema))
            written += len(batch)
    return written
