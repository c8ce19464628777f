"""Rows in another order than that of their shards, without all of them in memory: parts of them are sorted, and merged."""

import heapq
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import accumulate, groupby
from operator import itemgetter
from pathlib import Path

import pyarrow as pa

from gsr_dagster.experiment.keys import ArtifactKey
from gsr_dagster.method.rows import Row
from resources.store.artifacts import ArtifactStore
from resources.store.files import explain_full_disk, scratch_folder
from resources.store.tables import decode

# So much is sorted in memory; of each sorted part so much is in memory while they are merged.
BYTES_OF_A_PART = 128 << 20
BYTES_MERGED = 1 << 20


SAMPLES = ("prompt_id", "sample_index")


def rows_by_problem(
    shards: Sequence[Path], *columns: str, within: Sequence[str] = SAMPLES
) -> Iterator[tuple[str, list[Row]]]:
    """Yield the rows of each problem, by their problems' ids; ``within`` a problem by these columns.

    ``columns`` are read beside ``problem_id`` and those; one that a shard does not have is None in its rows.
    """
    order = ("problem_id", *within)
    names = list(dict.fromkeys((*order, *columns)))
    rows = sorted_rows((_with_columns(decode(path.read_bytes(), names), names) for path in shards), *order)
    for problem_id, of_problem in groupby(rows, lambda row: row["problem_id"]):
        yield problem_id, list(of_problem)


def sorted_rows(tables: Iterable[pa.Table], *order: str) -> Iterator[Row]:
    """Yield the rows of tables with the same columns by some of these; rows that are equal there, as they come.

    Source: the merge sort of Knuth, The Art of Computer Programming 3, section 5.4. Raises FullDiskError.
    """
    with scratch_folder() as scratch, explain_full_disk(scratch):
        parts = [_write_sorted(part, order, scratch / str(number)) for number, part in enumerate(_parts(tables))]
        yield from heapq.merge(*map(_read_rows, parts), key=itemgetter(*order))


def _parts(tables: Iterable[pa.Table]) -> Iterator[list[pa.Table]]:
    """Yield as many tables together as are sorted at once."""
    part, size = list[pa.Table](), 0
    for table in tables:
        part.append(table)
        size += table.nbytes
        if size >= BYTES_OF_A_PART:
            yield part
            part, size = [], 0
    if part:
        yield part


def _write_sorted(tables: Sequence[pa.Table], order: Sequence[str], path: Path) -> Path:
    part = pa.concat_tables(tables, promote_options="default")
    rows_at_once = max(BYTES_MERGED * part.num_rows // max(part.nbytes, 1), 1)
    options = pa.ipc.IpcWriteOptions(compression="zstd", use_threads=False)
    with pa.ipc.new_file(path, part.schema, options=options) as file:
        file.write_table(part.sort_by([(name, "ascending") for name in order]), rows_at_once)
    return path


def _read_rows(path: Path) -> Iterator[Row]:
    with pa.OSFile(str(path)) as source, pa.ipc.open_file(source) as file:
        for number in range(file.num_record_batches):
            yield from file.get_batch(number).to_pylist()


def _with_columns(table: pa.Table, names: Sequence[str]) -> pa.Table:
    there = set(table.column_names)
    return pa.table({name: table[name] if name in there else pa.nulls(table.num_rows) for name in names})


def whole_problems(
    store: ArtifactStore, key: ArtifactKey, at_once: int, order: Collection[str] | None = None
) -> Iterator[list[Row]]:
    """Yield the rows of an artifact, so many or a few more in a list, and all rows of a problem in one.

    Problems come in ``order``, which leaves out what is not in it, else as they are met. Nothing is sorted, so that
    no long text is in memory before its turn: a shard is read again for every list that it has rows of.
    """
    manifest = store.existing(key)
    shards_of: dict[str, set[int]] = defaultdict(set)
    counts: Counter[str] = Counter()
    for number, shard in enumerate(manifest.shards):
        for row in store.read_shards(key, manifest.fingerprint, [shard], "problem_id"):
            shards_of[row["problem_id"]].add(number)
            counts[row["problem_id"]] += 1
    names = list(counts) if order is None else [name for name in order if name in counts]
    ends = dict(zip(names, accumulate(counts[name] for name in names), strict=True))
    for _, group in groupby(names, lambda problem: ends[problem] // at_once):
        problems = set(group)
        numbers = sorted({number for problem in problems for number in shards_of[problem]})
        rows = store.read_shards(key, manifest.fingerprint, [manifest.shards[number] for number in numbers])
        yield [row for row in rows if row["problem_id"] in problems]
