"""Which column of a row holds which field: where --field says, else the one of the names that people give it.

Where two could hold it, and do not hold the same, nothing is guessed: the row is refused, and the message names both.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from gsr_dagster.method.rows import Row
from resources.problems.forms.fields import NoFieldError, Reading

NAMES: dict[str, tuple[str, ...]] = {
    "problem_id": ("problem_id", "question_id"),
    "problem": ("problem", "question", "problem_text", "problem_statement", "question_text"),
    "answer": (
        *("answer", "gold", "gold_answer", "ground_truth", "expected_answer", "correct_answer", "reference_answer"),
        "target",
    ),
    "response": (
        *("response", "responses", "generation", "generations", "completion", "completions", "output", "outputs"),
        *("sample", "samples", "generated_text", "generated_texts", "model_output", "model_outputs"),
        *("model_response", "model_responses"),
    ),
    "candidates": ("candidates",),
    "generated_tokens": (
        *("generated_tokens", "num_generated_tokens", "completion_tokens", "output_tokens", "num_tokens"),
        *("token_count", "token_counts"),
    ),
    "prompt_tokens": (
        *("prompt_tokens", "num_prompt_tokens", "input_tokens", "num_input_tokens", "prompt_token_count"),
        "prompt_token_ids",
    ),
    "finish_reason": ("finish_reason", "finish_reasons"),
    "label": ("label", "labels", "correct", "is_correct", "correctness", "acc", "exact_match", "passed"),
    "score": ("score", "scores", "reward", "rewards"),
    "logprobs": ("logprobs",),
}
# What holds the tokens themselves: their number is that of the list.
TOKEN_IDS = {"generated_tokens": "token_ids", "prompt_tokens": "prompt_token_ids"}
# Columns of chats: what the model wrote is the last message. Read where no other column holds a response.
CHATS = "messages"
# Columns that name a list of samples: a cell of CSV holds it as JSON.
LISTS = frozenset(name for name in NAMES["response"] if name.endswith("s"))


class SeveralColumnsError(ValueError):
    """Several columns could hold a field, and do not hold the same."""


def column(row: Row, reading: Reading, field: str) -> str | None:
    """Return the path of a field's column, None where no column is known as it. Raises SeveralColumnsError."""
    if field in reading.fields:
        return reading.fields[field]
    taken = set(reading.fields.values())
    there = {name: row[name] for name in NAMES[field] if name in row and name not in taken}
    if field == "response":
        there = {name: value for name, value in there.items() if isinstance(value, str | list | Mapping)} or there
        if not there and isinstance(row.get(CHATS), list) and CHATS not in taken:
            return CHATS
    return one_of(there, field)


def one_of(there: Mapping[str, Any], field: str) -> str | None:
    """Return the column that holds a field, of those that could; the first where all hold the same.

    >>> one_of({"label": None, "acc": 1.0, "correct": True}, "label")
    'acc'
    """
    if len(there) < 2:
        return next(iter(there), None)
    # An empty response is one: a model that wrote nothing.
    filled = [name for name, value in there.items() if not empty(value) or (field == "response" and value == "")]
    filled = filled or list(there)
    for other in filled[1:]:
        if there[other] != there[filled[0]]:
            raise SeveralColumnsError(
                f"{filled[0]} and {other} could each be the {field}, and differ: say which is, as in "
                f"--field {field}={filled[0]}"
            )
    return filled[0] if filled else None


def find(row: Row, reading: Reading, field: str) -> tuple[str, Any]:
    """Return a field's column and what it holds, the field's own name and None where no column is known as it."""
    name = column(row, reading, field)
    if name is None:
        return field, None
    reading.read_by_name(field, name)
    return name, reading.get(row, field, name)


def require(row: Row, reading: Reading, field: str) -> tuple[str, Any]:
    """As ``find``. Raises NoFieldError where the row lacks the field."""
    name = column(row, reading, field)
    if name is None:
        raise NoFieldError(f"no field {field!r}, nor a usual name of it: name the column, as in --field {field}=NAME")
    reading.read_by_name(field, name)
    return name, reading.require(row, field, name)


def empty(value: Any) -> bool:
    """Return whether a cell is one that nobody filled in; NaN is such, in a table of floats."""
    return value is None or value == "" or value != value


def told_columns(reading: Reading) -> str | None:
    """Return which columns were read under another name than the field's own, None where none was."""
    others: dict[str, list[str]] = {}
    for field, name in reading.read_as:
        if name != field:
            others.setdefault(field, []).append(name)
    return "; ".join(f"{' and '.join(names)} as {field}" for field, names in others.items()) or None


def unread_columns(reading: Reading, more: Sequence[str] = ()) -> list[str]:
    """Return the columns of the rows that no field was read from."""
    read = {*reading.fields.values(), *(name for _, name in reading.read_as), *more}
    heads = {path.partition(".")[0] for path in read}
    return [name for name in reading.columns if name not in read | heads]
