"""Samples that someone drew before, in one form: `gsr import` writes it, the recorded engine reads it.

A folder holds `problems.jsonl` (id, problem, answer), which a benchmark can name as its
source, and `samples.parquet` (problem_id, prompt_id, sample_index, text, finish_reason,
prompt_tokens, generated_tokens). The prompt of a candidate is its problem's id, that of
a refinement PROBLEM/gNUMBER: group g holds the candidates g*k .. g*k+k-1.
"""

import io
import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow
import pyarrow.parquet

from gsr_dagster.experiment.errors import UserError
from gsr_dagster.method.rows import Row
from resources.store.files import write_atomically

# What is in memory of a file of samples.
ROWS_AT_ONCE = 1024


class ImportFileError(UserError, ValueError):
    """Recorded samples that cannot be used; the message says which file and line, and what would be right."""


@dataclass(frozen=True)
class Recorded:
    """One recorded sample; with ``candidates``, the texts it was shown, it is a refinement.

    ``label`` is what someone else made of it, 1 for right and 0 for wrong; ``benchmark`` and
    ``model`` are "" where a file has one of each; ``row`` is a hash of each column of its row.
    """

    problem_id: str
    problem: str
    answer: str
    text: str
    candidates: tuple[str, ...] = ()
    generated_tokens: int | None = None
    finish_reason: str = "stop"
    label: float | None = None
    benchmark: str = ""
    model: str = ""
    row: tuple[tuple[str, str], ...] = field(default=(), compare=False, repr=False)


@dataclass(frozen=True)
class Imported:
    """What was written: counts, and what was left out, by the reason."""

    problems: int
    samples: int
    refinements: int
    left_out: dict[str, int]
    tokens_are_words: bool


def write_recorded(samples: Sequence[Recorded], folder: Path, k: int, most: int | None = None) -> Imported:
    """Write the folder that the recorded engine reads, with equally many samples of every problem.

    Refinements bring their candidates: k each, others are left out; and then a problem keeps
    only what was refined, its groups in the order of their refinements. Every problem keeps as
    many samples as the one with the fewest, or ``most``; a problem with fewer is left out.
    Raises ImportFileError where nothing is left, or a problem has two texts or answers.
    """
    left_out: dict[str, int] = defaultdict(int)
    problems: dict[str, Recorded] = {}
    direct: dict[str, list[Row]] = defaultdict(list)
    shown: dict[str, list[Row]] = defaultdict(list)
    refined: dict[str, list[Row]] = defaultdict(list)
    for sample in samples:
        first = problems.setdefault(sample.problem_id, sample)
        if (first.problem, first.answer) != (sample.problem, sample.answer):
            raise ImportFileError(f"problem {sample.problem_id} has two texts or answers")
        if not sample.candidates:
            direct[sample.problem_id].append(_sample(sample))
        elif len(sample.candidates) == k:
            refined[sample.problem_id].append(_sample(sample))
            shown[sample.problem_id] += [
                _sample(Recorded(sample.problem_id, "", "", text)) for text in sample.candidates
            ]
        else:
            left_out[f"refinements of {len(sample.candidates)} candidates, not {k}"] += 1
    for problem_id in problems:
        of, _, group = problem_id.rpartition("/g")
        if of in problems and group.isdigit():
            raise ImportFileError(f"problem {problem_id} has the name of a refinement of problem {of}: rename one")
    pools = {p: shown[p] + direct[p] for p in problems}
    room = {p: k * len(refined[p]) if any(refined.values()) else len(pools[p]) for p in problems}
    usable = [p for p in problems if room[p]]
    left_out["problems without a refinement"] += sum(bool(pools[p]) for p in problems if not room[p])
    if not usable:
        raise ImportFileError(f"no sample is left of {len(samples)}: {dict(left_out) or 'the files are empty'}")
    fewest = min(room[p] for p in usable)
    n = most or fewest
    kept = [p for p in usable if room[p] >= n]
    if not kept or n < 1:
        raise ImportFileError(f"no problem has {n} samples; the fewest are {fewest}")
    rows = []
    for problem_id in kept:
        named = {"problem_id": problem_id, "prompt_id": problem_id}
        rows += [{**named, "sample_index": i, **row} for i, row in enumerate(pools[problem_id][:n])]
        for number, row in enumerate(refined[problem_id][: n // k]):
            rows.append({**named, "prompt_id": f"{problem_id}/g{number}", "sample_index": 0, **row})
        left_out["samples over the others' number"] += len(pools[problem_id]) - n
    left_out["problems with too few samples"] += len(usable) - len(kept)
    _write(folder, [problems[p] for p in kept], rows)
    refinements = sum(min(len(refined[p]), n // k) for p in kept)
    return Imported(
        len(kept),
        len(rows) - refinements,
        refinements,
        {reason: count for reason, count in left_out.items() if count},
        any(sample.generated_tokens is None for sample in samples),
    )


def read_samples(folder: Path) -> Iterator[Row]:
    """Yield the rows of a folder that was imported, in their order, a few in memory at a time."""
    # So a column is read as it is needed, however long the row groups of the file are.
    with pyarrow.parquet.ParquetFile(folder / "samples.parquet", buffer_size=1 << 20, pre_buffer=False) as file:
        for batch in file.iter_batches(ROWS_AT_ONCE):
            yield from batch.to_pylist()


def _sample(sample: Recorded) -> Row:
    # Without a count, words are the tokens: whoever imports is told.
    tokens = len(sample.text.split()) if sample.generated_tokens is None else sample.generated_tokens
    return {
        "text": sample.text,
        "finish_reason": sample.finish_reason,
        "prompt_tokens": 0,
        "generated_tokens": tokens,
        "label": sample.label,
    }


def _write(folder: Path, problems: Sequence[Recorded], rows: Sequence[Row]) -> None:
    lines = [json.dumps({"id": p.problem_id, "problem": p.problem, "answer": p.answer}) for p in problems]
    write_atomically(folder / "problems.jsonl", ("\n".join(lines) + "\n").encode())
    buffer = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(list(rows)), buffer)
    write_atomically(folder / "samples.parquet", buffer.getvalue())
