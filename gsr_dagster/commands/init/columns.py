"""Which column of a file of problems is which: as the options say, else by the names that people give them.

>>> rows = [{"topic": "sums", "question": "1 + 1?", "gold": "2"}]
>>> columns(rows, {})
Columns(problem='question', answer='gold', id=None)
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from gsr_dagster.experiment.errors import UserError
from gsr_dagster.experiment.likeness import did_you_mean
from gsr_dagster.method.rows import Row

# The first that a file has counts.
NAMES = {
    "problem": (
        *("problem", "question", "prompt", "query", "problem_text", "problem_statement", "question_text"),
        *("input", "instruction", "task", "text", "quiz", "exercise", "statement", "q"),
    ),
    "answer": (
        *("answer", "gold", "gold_answer", "expected_answer", "final_answer", "correct_answer", "ground_truth"),
        *("reference_answer", "reference", "expected", "target", "label", "result", "solution", "output", "response"),
        *("completion", "a"),
    ),
    "id": (
        "id",
        "problem_id",
        "unique_id",
        "question_id",
        "task_id",
        "uid",
        "uuid",
        "qid",
        "key",
        "nr",
        "no",
        "number",
        "index",
        "idx",
    ),
}
LONGEST_EXAMPLE = 40


class ColumnsError(UserError, ValueError):
    """Columns that cannot be told apart; the message names those that there are, and the option that tells."""


@dataclass(frozen=True)
class Columns:
    """The columns of a file: ``id`` is None where problems are numbered."""

    problem: str
    answer: str
    id: str | None

    @property
    def options(self) -> dict[str, str]:
        """What the experiment file says of them: those that have another name."""
        found = {"problem": self.problem, "answer": self.answer, "id": self.id}
        return {field: column for field, column in found.items() if column and column != field}

    def __str__(self) -> str:
        named = f"the column {self.id} as the id" if self.id else "no column as the id, so that problems are numbered"
        return f"the column {self.problem} as the problem, {self.answer} as the answer, and {named}"


def columns(rows: Sequence[Row], given: Mapping[str, str]) -> Columns:
    """Return the columns of a file's rows. Raises ColumnsError."""
    there = list(dict.fromkeys(name for row in rows for name in row))
    if not rows:
        raise ColumnsError("the file has no rows: a problem a row is wanted, with an answer")
    for field, name in given.items():
        if name not in there:
            raise ColumnsError(
                f"--{field}-column: there is no column {name!r}{did_you_mean(name, there) or '.'} {_listed(rows, there)}"
            )
    found = {field: given.get(field) or _known(field, there, set(given.values())) for field in NAMES}
    if found["id"] and "id" not in given and _repeats(rows, found["id"]) and found["id"] != "id":
        found["id"] = None
    rest = [name for name in there if name not in found.values()]
    if found["problem"] and not found["answer"] and len(rest) == 1:
        found["answer"] = rest[0]
    for field in ("problem", "answer"):
        if not found[field]:
            raise ColumnsError(
                f"no column is known as the {field}: name it, as in --{field}-column NAME. {_listed(rows, there)}"
            )
    return Columns(str(found["problem"]), str(found["answer"]), found["id"])


def _known(field: str, there: Sequence[str], taken: Collection[str]) -> str | None:
    """Return the column that has one of the names of a field, as it stands or within its own name."""
    plain = {_plain(name): name for name in reversed(there) if name not in taken}
    for known in NAMES[field]:
        if known in plain:
            return plain[known]
    for known in NAMES[field][:2]:
        holding = [name for words, name in plain.items() if known in words.split("_")]
        if len(holding) == 1 and field != "id":
            return holding[0]
    return None


def _repeats(rows: Sequence[Row], column: str) -> bool:
    return len({str(row.get(column)) for row in rows}) < len(rows)


def _listed(rows: Sequence[Row], there: Sequence[str]) -> str:
    """Return the columns, each with what it holds in the first row."""
    shown = [f"{name} ({str(rows[0].get(name))[:LONGEST_EXAMPLE]!r})" for name in there]
    return f"There are {', '.join(shown)}"


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()).strip("_")
