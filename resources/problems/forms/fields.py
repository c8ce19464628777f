"""What the fields of a row hold, read into texts, counts and labels. Nothing is guessed: what fits nowhere is refused."""

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gsr_dagster.experiment.problems.golds import as_text
from gsr_dagster.method.rows import Row
from resources.problems.forms.logprobs import DrawnTokensAloneError, confidences
from resources.problems.recorded_samples import Recorded, TokenConfidences

Samples = Iterator[Recorded]

FIELDS = (
    *("problem_id", "problem", "answer", "response", "candidates"),
    *("generated_tokens", "prompt_tokens", "finish_reason", "label", "score", "logprobs"),
)
MOST_TOKENS = 1 << 31
LABELS = {"true": 1.0, "correct": 1.0, "false": 0.0, "incorrect": 0.0}


class NoFieldError(KeyError):
    """A row has no such field. Not a KeyError of a reader's own."""

    def __str__(self) -> str:
        return self.args[0]


@dataclass
class Reading:
    """How files are read: where fields stand that have other names, the problems of a second file, and what was met.

    ``benchmark`` and ``model`` are the fields that hold a sample's benchmark and model, None where nobody named them
    and "" for one of each.
    ``thinking_end`` joins thinking that stands in a field of its own to the answer. ``read_as`` counts by field
    and column what was read by a column's name, ``columns`` in how many rows each column is.
    """

    fields: Mapping[str, str] = field(default_factory=dict)
    benchmark: str | None = None
    model: str | None = None
    problems: Mapping[str, tuple[str, str]] | None = None
    thinking_end: str | None = None
    left_out: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)
    found: set[str] = field(default_factory=set)
    read_as: Counter[tuple[str, str]] = field(default_factory=Counter)
    columns: Counter[str] = field(default_factory=Counter)

    def read_by_name(self, field: str, column: str) -> None:
        """Count a field of a row that was read from a column by its name, where nobody named it."""
        if field not in self.fields:
            self.read_as[field, column] += 1

    def name(self, field: str) -> str:
        """Return where a field stands: as --field says, else under its own name."""
        return self.fields.get(field, field)

    def get(self, row: Row, field: str, default: str | None = None) -> Any:
        """Return a field where --field says that it stands, else at ``default``; None where the row lacks it."""
        path = self.fields.get(field, default)
        try:
            value = None if path is None else at(row, path)
        except NoFieldError:
            return None
        self.found.add(field)
        return value

    def require(self, row: Row, field: str, default: str | None = None) -> Any:
        """As ``get``. Raises NoFieldError where the row lacks the field."""
        value = at(row, self.fields.get(field, default or field))
        self.found.add(field)
        return value

    def belongs(self, row: Row) -> tuple[str, str]:
        """Return the benchmark and model of a row's samples, "" where there is only one."""
        benchmark, model = (plain(at(row, path), path) if path else "" for path in (self.benchmark, self.model))
        return benchmark, model

    def label(self, row: Row, default: str | None = None) -> float | None:
        """Return the label of a row's one sample; one that nobody named, and that is no verdict, is not read."""
        return self.as_label(self.get(row, "label", default), "label" in self.fields)

    def confidences(self, value: Any, tokens: int | None) -> TokenConfidences | None:
        """Return how sure the model was of each of a sample's ``tokens``, None where that was not recorded.

        What nobody named, and is of the drawn tokens alone, is counted and not read.
        """
        try:
            found = confidences(value, self.name("logprobs"))
        except DrawnTokensAloneError:
            if "logprobs" in self.fields:
                raise
            self.notes["samples have the log-probability of each drawn token alone, which was not read"] += 1
            return None
        if found and tokens not in (None, len(found.stored)):
            self.notes["samples have another number of log-probabilities than of generated_tokens"] += 1
        return found

    def as_label(self, value: Any, named: bool) -> float | None:
        try:
            return label(value)
        except ValueError:
            if named:
                raise
            self.notes["labels that are neither a verdict nor a number were not read"] += 1
            return None

    def as_score(self, value: Any) -> float | None:
        """Return a score as a number; one that nobody named, and that is none, is counted and not read."""
        try:
            return score(value)
        except ValueError:
            if "score" in self.fields:
                raise
            self.notes["scores that are no numbers were not read"] += 1
            return None

    def as_tokens(self, value: Any, name: str, field: str) -> int | None:
        """Return a field's number of tokens; what stands in a column that only looks like it is counted and not read."""
        try:
            return count(value, name)
        except ValueError:
            if name in (self.fields.get(field), field):
                raise
            self.notes[f"{name} are no numbers of tokens: they were not read"] += 1
            return None


def at(value: Any, path: str) -> Any:
    """Return what stands at a path such as ``choices.0.text``; a name inside a list is that of each item.

    A field whose own name holds dots comes first. Raises NoFieldError.

    >>> at({"choices": [{"text": "a"}, {"text": "b"}]}, "choices.1.text")
    'b'
    >>> at({"choices": [{"text": "a"}, {"text": "b"}]}, "choices.text")
    ['a', 'b']
    """
    found = list(_ways(value, path.split(".")))
    if not found:
        raise NoFieldError(f"no field {path!r}")
    return found[0]


def _ways(value: Any, parts: list[str]) -> Iterator[Any]:
    if not parts:
        yield value
    elif isinstance(value, Mapping):
        for length in range(len(parts), 0, -1):
            if (name := ".".join(parts[:length])) in value:
                yield from _ways(value[name], parts[length:])
    elif isinstance(value, list) and parts[0].isdecimal():
        if int(parts[0]) < len(value):
            yield from _ways(value[int(parts[0])], parts[1:])
    elif isinstance(value, list):
        items = [next(_ways(item, parts), NoFieldError) for item in value]
        if items and NoFieldError not in items:
            yield items


def kind(value: Any) -> str:
    """Return what a value is, in the words of JSON."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, list):
        return "a list"
    return "an object" if isinstance(value, Mapping) else "a text" if isinstance(value, str) else "no text"


def text(value: Any, name: str, field: str = "") -> str:
    """Return a text. Raises ValueError for anything else, with what would be right."""
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        has = ", ".join(map(str, value))[:100]
        raise ValueError(
            f"{name} is an object that has {has}: name the text in it, as in --field {field or name}={name}.NAME"
        )
    empty = ". A model that wrote nothing has an empty text" if value is None else ""
    raise ValueError(f"{name} is {kind(value)}, and a text is wanted{empty}")


def plain(value: Any, name: str) -> str:
    """Return a name: a text, or a whole number as text."""
    if isinstance(value, str) and value:
        return value
    if isinstance(value, int | float) and not isinstance(value, bool) and value % 1 == 0:
        return as_text(value) or "0"
    raise ValueError(f"{name} is {'an empty text' if value == '' else kind(value)}: a text or a whole number is wanted")


def answer(value: Any, name: str) -> str:
    """Return a gold answer: a text, a number, or a list of these, whose order is that of the text."""
    for part in value if isinstance(value, list) else [value]:
        if isinstance(part, Mapping | list):
            text(part, name, "answer")
    return as_text(value)


def count(value: Any, name: str = "generated_tokens") -> int | None:
    """Return a number of tokens, None where none was recorded."""
    if value is None or value == "" or value != value:  # NaN: missing, in a table of floats
        return None
    number = int(value) if isinstance(value, str) and value.isdecimal() and len(value) < 12 else value
    if isinstance(number, bool) or not isinstance(number, int | float) or number % 1 or not 0 <= number < MOST_TOKENS:
        raise ValueError(f"{name} is {str(value)[:40]!r}, which is no number of tokens")
    return int(number)


def texts(value: Any, name: str = "candidates") -> tuple[str, ...]:
    """Return a list of texts, in CSV a list in JSON; nothing where there is none."""
    if isinstance(value, str) and value:
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise ValueError(f"{name} are a list of texts, not {value[:40]!r}") from None
    if value is not None and value != "" and not isinstance(value, list):
        raise ValueError(f"{name} are a list of texts, not {str(value)[:40]!r}")
    return tuple(text(part, f"one of {name}") for part in value or ())


def label(value: Any) -> float | None:
    """Return 1 for a sample that someone called right, 0 for a wrong one, or another score; None without one."""
    if value is None or value == "" or value != value:
        return None
    if isinstance(value, str):
        try:
            value = LABELS.get(value.strip().lower()) if value.strip().lower() in LABELS else float(value)
        except ValueError:
            raise ValueError(f"label is {value[:40]!r}, which is neither a verdict nor a number") from None
    if not isinstance(value, bool | int | float) or not math.isfinite(value):
        raise ValueError(f"label is {str(value)[:40]!r}, which is neither a verdict nor a number")
    return float(value)


def score(value: Any) -> float | None:
    """Return a score, None without one."""
    if value is None or value == "" or value != value:
        return None
    try:
        number = None if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = None
    if number is None or not math.isfinite(number):
        raise ValueError(f"score is {str(value)[:40]!r}, which is no number")
    return number


def finish_reason(value: Any) -> str:
    """Return why a text ended, as it was recorded; where nothing was, it ended by itself.

    SGLang writes an object of it, with its ``type``.
    """
    if isinstance(value, Mapping):
        value = value.get("type")
    if value is None or value == "" or value != value:  # NaN: missing, in a table of floats
        return "stop"
    return text(value, "finish_reason")


def task_of(path: Path) -> str:
    """Return the task that a tool names in a file's name, as in samples_TASK_TIME.jsonl; else the name without endings."""
    name = path.name.split(".jsonl")[0].split(".parquet")[0].split(".json")[0].split(".csv")[0]
    for prefix in ("samples_", "details_"):
        before, _, time = name.removeprefix(prefix).rpartition("_")
        if name.startswith(prefix) and before and time[:4].isdecimal():
            return before
    return name
