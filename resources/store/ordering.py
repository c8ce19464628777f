"""Rows in another order than that of their shards, without all of them in memory: DuckDB sorts, on disk where they are many."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import accumulate, groupby
from pathlib import Path

import duckdb
import pyarrow as pa

from gsr_dagster.experiment.keys import ArtifactKey
from gsr_dagster.method.rows import Row
from resources.store.artifacts import ArtifactStore
from resources.store.files import explain_full_disk, scratch_folder

# What DuckDB keeps in memory; the rest is sorted in files. It holds some thousand rows at once: texts of 30,000
# characters need more than the first.
MEMORY = ("512MB", "1GB", "2GB", "4GB")
ROWS_AT_ONCE = 512


SAMPLES = ("prompt_id", "sample_index")


def rows_by_problem(
    shards: Sequence[Path], *columns: str, within: Sequence[str] = SAMPLES
) -> Iterator[tuple[str, list[Row]]]:
    """Yield the rows of each problem, by their problems' ids; ``within`` a problem by these columns.

    ``columns`` are read beside ``problem_id`` and those.
    """
    if not shards:
        return
    order = ("problem_id", *within)
    names = dict.fromkeys((*order, *columns))
    rows = sorted_rows(f"select {', '.join(names)} from shards order by {', '.join(order)}", shards=shards)
    for problem_id, of_problem in groupby(rows, lambda row: row["problem_id"]):
        yield problem_id, list(of_problem)


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


def sorted_rows(query: str, tables: dict | None = None, **shards: Sequence[Path]) -> Iterator[Row]:
    """Yield the rows of a query over views of shards, by their names, and over Arrow ``tables``.

    A view of no shards cannot be named in it. A column that only some shards have is null in the others.
    Raises duckdb.OutOfMemoryException where rows are too long even for the most memory.
    """
    for memory in MEMORY:
        begun = False
        try:
            for batch in _sorted_batches(query, memory, tables or {}, shards):
                begun = True
                yield from batch.to_pylist()
            return
        except duckdb.OutOfMemoryException:
            if begun or memory == MEMORY[-1]:
                raise


def _sorted_batches(
    query: str, memory: str, tables: Mapping[str, pa.Table], shards: Mapping[str, Sequence[Path]]
) -> Iterator[pa.RecordBatch]:
    with (
        scratch_folder() as scratch,
        explain_full_disk(scratch),
        duckdb.connect(config=settings(scratch, memory)) as connection,
    ):
        for name, table in tables.items():
            connection.register(name, table)
        for name, paths in shards.items():
            connection.read_parquet([str(path) for path in paths], union_by_name=True).create_view(name)
        yield from connection.sql(query).to_arrow_reader(ROWS_AT_ONCE)


def settings(scratch: Path, memory: str = MEMORY[0]) -> dict[str, str | bool | int | float | list[str]]:
    """Return how DuckDB is to keep within its memory."""
    return {"memory_limit": memory, "temp_directory": str(scratch / "sorted"), "preserve_insertion_order": False}
