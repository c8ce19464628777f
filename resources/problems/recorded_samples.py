"""Samples that someone drew before, in one form: `gsr import` writes it, the recorded engine reads it.

A folder holds `problems.jsonl` (id, problem, answer), which a benchmark can name as its
source, and `samples.parquet` (problem_id, prompt_id, sample_index, text, finish_reason,
prompt_tokens, generated_tokens, label, and score and confidences where they were recorded). The prompt of a
candidate is its problem's id, that of a refinement PROBLEM/gNUMBER: group g holds the candidates g*k .. g*k+k-1.
"""

import io
import json
from array import array
from collections import Counter, defaultdict, deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.compute
import pyarrow.parquet

from gsr_dagster.experiment.errors import UserError
from gsr_dagster.method.rows import Row
from resources.store.files import write_atomically

compute: Any = pyarrow.compute  # its functions are made as it is imported, and no type checker knows them
# The size of the refined groups, in the file's own metadata.
GROUP_SIZE = b"gsr_k"
# Of how many of the likeliest tokens the confidences are, there too.
LIKELIEST = b"gsr_logprobs"
# Of how many samples words are counted, as nobody counted tokens.
WORDS = b"gsr_words"
# What an engine drew, beside its place.
DRAWN = ("text", "finish_reason", "prompt_tokens", "generated_tokens")
# What is in memory of a file of samples.
ROWS_AT_ONCE = 1024
NOT_OF_CANDIDATES = "log-probabilities of refinements: they are kept of candidates alone"


class ImportFileError(UserError, ValueError):
    """Recorded samples that cannot be used; the message says which file and line, and what would be right."""


@dataclass(frozen=True)
class TokenConfidences:
    """The confidence of every token of a text, in thousandths of a nat, each of so many of the ``likeliest`` in its place."""

    stored: array
    likeliest: int


@dataclass(frozen=True)
class Recorded:
    """One recorded sample; with ``candidates``, the texts it was shown, it is a refinement.

    ``label`` is what someone else made of it, 1 for right and 0 for wrong, ``score`` how good they found it;
    ``benchmark`` and ``model`` are "" where a file has one of each, and ``names`` what columns hold that may
    name them; ``row`` is a hash of each column of its row. ``confidences`` are of its tokens, None where nobody
    recorded them.
    """

    problem_id: str
    problem: str
    answer: str
    text: str
    candidates: tuple[str, ...] = ()
    generated_tokens: int | None = None
    prompt_tokens: int | None = None
    finish_reason: str = "stop"
    label: float | None = None
    score: float | None = None
    benchmark: str = ""
    model: str = ""
    names: tuple[tuple[str, str], ...] = field(default=(), compare=False, repr=False)
    confidences: TokenConfidences | None = field(default=None, hash=False)
    row: tuple[tuple[str, str], ...] = field(default=(), compare=False, repr=False)


@dataclass(frozen=True)
class Imported:
    """What was written: counts, and what was left out, by the reason. ``most`` samples has the problem with the most.

    ``words`` are the samples and refinements whose words are counted, as nobody counted their tokens.
    ``confident`` are the candidates whose tokens have their confidences, ``with_score`` those that somebody scored.
    """

    problems: int
    samples: int
    refinements: int
    most: int
    left_out: dict[str, int]
    words: int
    confident: int = 0
    with_score: int = 0


@dataclass(frozen=True)
class Recording:
    """How many candidates of each problem are recorded, and the prompts of the groups that are refined.

    ``k`` is the size of those groups; None where an earlier version wrote the folder, or nothing is refined.
    ``logprobs`` is of how many of the likeliest tokens the confidences are, None where there are none;
    ``words`` of how many samples the tokens are words.
    """

    candidates: Mapping[str, int]
    refined: frozenset[str]
    k: int | None
    logprobs: int | None = None
    words: int = 0


def write_recorded(samples: Sequence[Recorded], folder: Path, k: int, most: int | None = None) -> Imported:
    """Write the folder that the recorded engine reads: every sample of every problem, however many each has.

    Refinements bring their candidates: k each, others are left out. The groups that were
    refined come first in their problem, in the order of their refinements, and then the
    other samples. A candidate that stands as a sample of its own too is one sample.
    ``most`` keeps the first so many samples of each problem. Raises ImportFileError where
    nothing is left, or a problem has two texts or answers.
    """
    left_out: dict[str, int] = defaultdict(int)
    problems: dict[str, Recorded] = {}
    direct: dict[str, list[Recorded]] = defaultdict(list)
    refined: dict[str, list[Recorded]] = defaultdict(list)
    for sample in samples:
        first = problems.setdefault(sample.problem_id, sample)
        if (first.problem, first.answer) != (sample.problem, sample.answer):
            raise ImportFileError(f"problem {sample.problem_id} has two texts or answers")
        if not sample.candidates:
            direct[sample.problem_id].append(sample)
        elif len(sample.candidates) == k:
            refined[sample.problem_id].append(sample)
        else:
            left_out[f"refinements of {len(sample.candidates)} candidates, not {k}"] += 1
    for problem_id in problems:
        of, _, group = problem_id.rpartition("/g")
        if of in problems and group.isdigit():
            raise ImportFileError(f"problem {problem_id} has the name of a refinement of problem {of}: rename one")
    rows: list[Row] = []
    sizes: dict[str, int] = {}
    refinements = words = 0
    for problem_id in problems:
        pool = _pool(refined[problem_id], direct[problem_id])
        both = len(direct[problem_id]) + k * len(refined[problem_id]) - len(pool)
        left_out["candidates of refinements that are samples of their own too: each counts once"] += both
        kept = pool[:most]
        left_out[f"samples over {most} of a problem"] += len(pool) - len(kept)
        if not kept:
            left_out["problems without a sample"] += 1
            continue
        sizes[problem_id] = len(kept)
        named = {"problem_id": problem_id, "prompt_id": problem_id}
        rows += [{**named, "sample_index": i, **_sample(sample), **_sure(sample)} for i, sample in enumerate(kept)]
        groups = refined[problem_id][: len(kept) // k]
        words += sum(_tokens(sample) is None for sample in (*kept, *groups))
        left_out[f"refinements of samples over {most} of a problem"] += len(refined[problem_id]) - len(groups)
        refinements += len(groups)
        for number, sample in enumerate(groups):
            rows.append({**named, "prompt_id": f"{problem_id}/g{number}", "sample_index": 0, **_sample(sample)})
            left_out[NOT_OF_CANDIDATES] += sample.confidences is not None
    likeliest = _with_confidences(rows, samples)
    if all(row["score"] is None for row in rows):
        for row in rows:
            del row["score"]
    left_out = {reason: count for reason, count in left_out.items() if count}
    if not sizes:
        raise ImportFileError(f"no sample is left of {len(samples)}: {left_out or 'the files are empty'}")
    _write(folder, [problems[p] for p in sizes], rows, k if refinements else None, likeliest, words)
    return Imported(
        problems=len(sizes),
        samples=len(rows) - refinements,
        refinements=refinements,
        most=max(sizes.values()),
        left_out=left_out,
        words=words,
        confident=sum(row.get("confidences") is not None for row in rows),
        with_score=sum(row.get("score") is not None for row in rows if row["prompt_id"] == row["problem_id"]),
    )


def write_samples(
    folder: Path, rows: Sequence[Row], k: int | None, likeliest: int | None = None, words: int = 0
) -> None:
    """Write rows as the samples of a folder; those of a prompt stand together.

    ``k`` is the size of refined groups, ``likeliest`` of how many tokens confidences are, ``words``
    of how many samples the tokens are words.
    """
    buffer = io.BytesIO()
    table = pyarrow.Table.from_pylist(list(rows))
    if likeliest is not None:
        place = table.column_names.index("confidences")
        column = table["confidences"].cast(pyarrow.list_(pyarrow.uint16()))
        table = table.set_column(place, "confidences", column)
    counts = ((GROUP_SIZE, k), (LIKELIEST, likeliest), (WORDS, words or None))
    told = {name: str(number) for name, number in counts if number is not None}
    if told:
        table = table.replace_schema_metadata(told)
    pyarrow.parquet.write_table(table, buffer, row_group_size=ROWS_AT_ONCE)  # groups that nobody asks for are skipped
    write_atomically(folder / "samples.parquet", buffer.getvalue())


def read_samples(folder: Path, prompts: Collection[str] | None = None) -> Iterator[Row]:
    """Yield the rows of a folder that was imported, or those of some prompts, in their order, a few in memory at a time."""
    wanted = None if prompts is None else pyarrow.array(prompts, pyarrow.string())
    # So a column is read as it is needed, however long the row groups of the file are.
    with pyarrow.parquet.ParquetFile(folder / "samples.parquet", buffer_size=1 << 20, pre_buffer=False) as file:
        groups = range(file.num_row_groups)
        if wanted is not None:
            prompts_of = (file.read_row_group(group, ["prompt_id"], use_threads=False)["prompt_id"] for group in groups)
            groups = [n for n, of in enumerate(prompts_of) if compute.any(compute.is_in(of, value_set=wanted)).as_py()]
        for batch in file.iter_batches(ROWS_AT_ONCE, row_groups=groups):
            if wanted is not None:
                batch = batch.filter(compute.is_in(batch["prompt_id"], value_set=wanted))
            yield from batch.to_pylist()


def read_recording(folder: Path) -> Recording:
    """Return what a folder that was imported holds, counted once for each state of its file."""
    path = folder / "samples.parquet"
    stat = path.stat()
    return _recording(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=16)
def _recording(path: Path, changed: int, size: int) -> Recording:
    candidates: Counter[str] = Counter()
    refined: set[str] = set()
    with pyarrow.parquet.ParquetFile(path) as file:
        told = file.schema_arrow.metadata or {}
        for batch in file.iter_batches(columns=["problem_id", "prompt_id"]):
            for row in batch.to_pylist():
                if row["prompt_id"] == row["problem_id"]:
                    candidates[row["problem_id"]] += 1
                else:
                    refined.add(row["prompt_id"])
    k, likeliest = (None if (number := told.get(name)) is None else int(number) for name in (GROUP_SIZE, LIKELIEST))
    return Recording(candidates, frozenset(refined), k, likeliest, int(told.get(WORDS, 0)))


def _pool(refined: Sequence[Recorded], direct: Sequence[Recorded]) -> list[Recorded]:
    """Return a problem's samples: the candidates of its refinements, each as its own row has it, and then the rest."""
    left: dict[str, deque[int]] = defaultdict(deque)
    for number, sample in enumerate(direct):
        left[sample.text].append(number)
    shown, taken = [], set()
    for text in (text for refinement in refined for text in refinement.candidates):
        if left[text]:
            taken.add(left[text][0])
            shown.append(direct[left[text].popleft()])
        else:
            shown.append(Recorded(refined[0].problem_id, "", "", text))
    return [*shown, *(sample for number, sample in enumerate(direct) if number not in taken)]


def _tokens(sample: Recorded) -> int | None:
    """Return how many tokens a sample has, None where nobody counted them."""
    if sample.generated_tokens is None and sample.confidences:
        return len(sample.confidences.stored)
    return sample.generated_tokens


def _sample(sample: Recorded) -> Row:
    tokens = _tokens(sample)
    return {
        "text": sample.text,
        "finish_reason": sample.finish_reason,
        "prompt_tokens": sample.prompt_tokens or 0,  # 0 where nobody counted them
        "generated_tokens": len(sample.text.split()) if tokens is None else tokens,
        "label": sample.label,
        "score": sample.score,
    }


def _sure(sample: Recorded) -> Row:
    return {} if sample.confidences is None else {"confidences": list(sample.confidences.stored)}


def _with_confidences(rows: Sequence[Row], samples: Sequence[Recorded]) -> int | None:
    """Give every row the column of confidences where some have it, and return of how many tokens they are.

    A candidate without a text has no token to be sure of.
    """
    likeliest = next((sample.confidences.likeliest for sample in samples if sample.confidences), None)
    if not any("confidences" in row for row in rows):
        return None
    for row in rows:
        empty = not row["text"] and row["prompt_id"] == row["problem_id"]
        row.setdefault("confidences", [] if empty else None)
    return likeliest


def _write(
    folder: Path, problems: Sequence[Recorded], rows: Sequence[Row], k: int | None, likeliest: int | None, words: int
) -> None:
    lines = [json.dumps({"id": p.problem_id, "problem": p.problem, "answer": p.answer}) for p in problems]
    write_atomically(folder / "problems.jsonl", ("\n".join(lines) + "\n").encode())
    write_samples(folder, rows, k, likeliest, words)
