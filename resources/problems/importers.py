"""The files of samples that people have, read into one form: a reader a tool that writes them."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from gsr_dagster.experiment.datasets import as_text
from gsr_dagster.method.rows import Row
from resources.problems.recorded_samples import ImportFileError, Recorded
from resources.problems.row_files import RowFileError, read_rows

MOST_TOKENS = 1 << 31
LONGEST_LIST = 300
FIELDS = ("problem_id", "problem", "answer", "response", "candidates", "generated_tokens", "finish_reason")


def read_recorded(path: Path, form: str, fields: Mapping[str, str]) -> Iterator[Recorded]:
    """Yield the samples of a file in a named form. Raises ImportFileError with the row that does not fit."""
    number = 0
    row: Row = {}
    try:
        for row in read_rows(path):
            number += 1
            yield from FORMS[form](row, fields)
    except RowFileError as error:
        raise ImportFileError(str(error)) from None
    except (KeyError, TypeError, IndexError, AttributeError, ValueError, RecursionError) as error:
        what = f"no field {error}" if isinstance(error, KeyError) else str(error)
        has = ", ".join(map(str, row))[:LONGEST_LIST]
        raise ImportFileError(f"{path}, row {number}: {what}. It is read as {form!r}; it has {has}") from None


def _count(value: Any) -> int | None:
    """Return a number of tokens, None where none was recorded."""
    if value is None or value != value:  # NaN: missing, in a table of floats
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or value % 1 or not 0 <= value < MOST_TOKENS:
        raise ValueError(f"{str(value)[:40]!r} is no number of tokens")
    return int(value)


def _texts(value: Any) -> tuple[str, ...]:
    if value is not None and not isinstance(value, list):
        raise ValueError(f"candidates are a list of texts, not {str(value)[:40]!r}")
    return tuple(map(str, value or ()))


def _plain(row: Row, fields: Mapping[str, str]) -> Iterator[Recorded]:
    """A row a sample, with fields of these names or of those that they are mapped to."""
    named = {field: fields.get(field, field) for field in FIELDS}
    problem_id = row.get(named["problem_id"])
    yield Recorded(
        problem_id=str(row[named["problem"]] if problem_id is None else problem_id),
        problem=str(row[named["problem"]]),
        answer=as_text(row[named["answer"]]),
        text=str(row[named["response"]]),
        candidates=_texts(row.get(named["candidates"])),
        generated_tokens=_count(row.get(named["generated_tokens"])),
        finish_reason="length" if row.get(named["finish_reason"]) == "length" else "stop",
    )


def _lm_eval(row: Row, fields: Mapping[str, str]) -> Iterator[Recorded]:
    """A line of lm-eval's samples_*.jsonl (--log_samples): a document with its responses."""
    document = row["doc"]
    names = ("problem", "question", fields.get("problem", "query"))
    problem = document[next((name for name in names if name in document), names[-1])]
    for response in row["resps"]:
        for text in response if isinstance(response, list) else [response]:
            yield Recorded(str(row["doc_id"]), str(problem), as_text(row["target"]), str(text))


def _lighteval(row: Row, fields: Mapping[str, str]) -> Iterator[Recorded]:
    """A row of lighteval's details Parquet: a Doc and its ModelResponse."""
    document, response = row["doc"], row["model_response"]
    golds = document["gold_index"] if isinstance(document["gold_index"], list) else [document["gold_index"]]
    counts = [len(tokens) for tokens in response.get("output_tokens") or []]
    for number, text in enumerate(response["text"]):
        yield Recorded(
            str(document.get("id") or document["query"]),
            str(document["query"]),
            as_text([document["choices"][gold] for gold in golds]),
            str(text),
            generated_tokens=counts[number] if number < len(counts) else None,
        )


def _nemo_skills(row: Row, fields: Mapping[str, str]) -> Iterator[Recorded]:
    """A line of NeMo-Skills' output*.jsonl: a generation; one file a random seed."""
    yield Recorded(
        str(row.get("id") or row["problem"]),
        str(row["problem"]),
        as_text(row["expected_answer"]),
        str(row["generation"]),
        generated_tokens=_count(row.get("num_generated_tokens")),
        finish_reason="length" if row.get("finish_reason") == "length" else "stop",
    )


FORMS: dict[str, Callable[[Row, Mapping[str, str]], Iterator[Recorded]]] = {
    "rows": _plain,
    "lm-eval": _lm_eval,
    "lighteval": _lighteval,
    "nemo-skills": _nemo_skills,
}
