"""The files of samples that people have, read into one form: a reader a tool that writes them."""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from gsr_dagster.method.rows import Row
from resources.problems.belonging import names_in
from resources.problems.forms import inspect_logs, lighteval, lm_eval, nemo_skills, openai_batch, rows
from resources.problems.forms.fields import FIELDS, Reading, answer, plain, task_of, text
from resources.problems.recorded_samples import ImportFileError, Recorded
from resources.problems.repeats import SampleFile
from resources.problems.row_files import RowFileError, read_rows

LONGEST_LIST = 300
READ_ERRORS = (KeyError, TypeError, IndexError, AttributeError, ValueError, RecursionError, OverflowError)

FORMS: dict[str, Callable[[Row, Reading], Iterator[Recorded]]] = {
    "rows": rows.read_row,
    "lm-eval": lm_eval.read_document,
    "lighteval": lighteval.read_detail,
    "nemo-skills": nemo_skills.read_generation,
    "inspect": inspect_logs.read_sample,
    "openai-batch": openai_batch.read_request,
}
# How the rows of a form come from its file, where a row is no sample by itself.
ROWS: dict[str, Callable[[Path, Reading], Iterable[Row]]] = {
    "lm-eval": lambda path, reading: lm_eval.logged_once(read_rows(path), reading),
    "inspect": inspect_logs.read_rows_of_log,
}


def read_recorded(path: Path, form: str, fields: Mapping[str, str] | Reading) -> Iterator[Recorded]:
    """Yield the samples of a file in a named form. Raises ImportFileError with the row that does not fit."""
    reading = fields if isinstance(fields, Reading) else Reading(fields)
    number = 0
    row: Row = {}
    task = task_of(path)
    try:
        for row in ROWS[form](path, reading) if form in ROWS else read_rows(path):
            number += 1
            columns = column_hashes(row)
            names = names_in(row) if form == "rows" else ()
            reading.columns.update(row.keys())
            with_task = {"task": task, **row}
            for place, sample in enumerate(FORMS[form](with_task, reading)):
                benchmark, model = reading.belongs(with_task)
                yield replace(sample, benchmark=benchmark, model=model, names=names, row=(*columns, ("", str(place))))
    except RowFileError as error:
        raise ImportFileError(str(error)) from None
    except ImportFileError:
        raise
    except READ_ERRORS as error:
        what = f"no field {error}" if type(error) is KeyError else str(error)
        has = ", ".join(map(str, row))[:LONGEST_LIST]
        raise ImportFileError(f"{path}, row {number}: {what}. It is read as {form!r}; it has {has}") from None


def read_files(paths: Sequence[Path], form: str, reading: Reading) -> list[SampleFile]:
    """Return the samples of every file. Raises ImportFileError too where no row has a field that --field names."""
    files = [SampleFile(path, list(read_recorded(path, form, reading))) for path in paths]
    if lacking := [field for field in reading.fields if field not in reading.found]:
        named = ", ".join(f"{field}={reading.fields[field]}" for field in lacking)
        raise ImportFileError(f"--field {named}: no row has it, or files of {form!r} are not read by it")
    return _verdicts_among_scores(files, reading)


def _verdicts_among_scores(files: list[SampleFile], reading: Reading) -> list[SampleFile]:
    """Return the files with scores that nobody named, and that are 0 or 1 alone, as the labels that they are."""
    samples = [sample for file in files for sample in file.samples]
    scores = [sample.score for sample in samples if sample.score is not None]
    if "score" in reading.fields or not scores or not set(scores) <= {0.0, 1.0}:
        return files
    if any(sample.label is not None for sample in samples):
        reading.notes["scores are 0 or 1 alone, and labels are there: the scores were not read"] += len(scores)
        return [SampleFile(file.path, [replace(one, score=None) for one in file.samples]) for file in files]
    reading.notes["scores are 0 or 1 alone: they were read as labels"] += len(scores)
    return [
        SampleFile(file.path, [replace(one, label=one.score, score=None) for one in file.samples]) for file in files
    ]


def read_problems(path: Path) -> dict[str, tuple[str, str]]:
    """Return the problems of a file by their ids (id or problem_id): text and gold. Raises ImportFileError."""
    problems: dict[str, tuple[str, str]] = {}
    number = 0
    try:
        for row in read_rows(path):
            number += 1
            problem_id = plain(row["id"] if "id" in row else row["problem_id"], "id")
            if problem_id in problems:
                raise ValueError(f"problem {problem_id!r} stands there twice")
            problems[problem_id] = text(row["problem"], "problem"), answer(row["answer"], "answer")
    except RowFileError as error:
        raise ImportFileError(str(error)) from None
    except READ_ERRORS as error:
        what = f"no field {error}" if type(error) is KeyError else str(error)
        raise ImportFileError(f"{path}, row {number}: {what}. Problems have id, problem and answer") from None
    return problems


def column_hashes(row: Row) -> tuple[tuple[str, str], ...]:
    """Return a hash of each column that is not empty, which equal ones share, whichever kind of file they come from."""
    return tuple((name, _hash(value)) for name, value in _comparable(row).items() if not name.startswith("_"))


def _hash(value: Any) -> str:
    return hashlib.blake2b(json.dumps(value, sort_keys=True).encode(), digest_size=8).hexdigest()


def _comparable(value: Any) -> Any:
    """Return a value with texts for numbers, as CSV has them, and without what is empty, as Parquet fills it in."""
    if isinstance(value, Mapping):
        return {str(name): _comparable(part) for name, part in value.items() if part not in (None, "")}
    if isinstance(value, list):
        return [_comparable(part) for part in value]
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


__all__ = ["FIELDS", "FORMS", "read_files", "read_problems", "read_recorded"]
