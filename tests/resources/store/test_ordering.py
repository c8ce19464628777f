"""Rows sorted by DuckDB within little memory, whatever the length of their texts."""

import random
import string

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from resources.store import ordering
from resources.store.ordering import rows_by_problem, sorted_rows


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    """2,400 samples of 16,000 characters, 38 MB, in no order."""
    folder, rng = tmp_path_factory.mktemp("shards"), random.Random(0)
    letters = "".join(rng.choices(string.ascii_letters, k=50_000))
    ids = [(f"p{number % 300:03}", f"m/p{number % 300:03}", number // 300) for number in range(2400)]
    rng.shuffle(ids)
    paths = []
    for part in range(4):
        rows = [
            {"problem_id": p, "prompt_id": prompt, "sample_index": index, "text": letters[index * 100 :][:16_000] + p}
            for p, prompt, index in ids[part::4]
        ]
        paths.append(folder / f"{part}.parquet")
        pq.write_table(pa.Table.from_pylist(rows), paths[-1])
    return paths


def test_rows_too_long_for_the_first_memory_are_sorted_in_more_of_it(shards, monkeypatch):
    tried = []
    connect = duckdb.connect

    def noted(config):
        tried.append(config["memory_limit"])
        return connect(config=config)

    monkeypatch.setattr(ordering, "MEMORY", ("16MB", "1GB"))
    monkeypatch.setattr(duckdb, "connect", noted)
    found = list(rows_by_problem(shards, "text"))
    assert tried == ["16MB", "1GB"]
    assert [problem for problem, _ in found] == [f"p{number:03}" for number in range(300)]
    for problem, rows in found:
        assert [row["sample_index"] for row in rows] == list(range(8))
        assert all(row["text"].endswith(problem) for row in rows)


def test_where_the_most_memory_is_too_little_that_is_said(shards, monkeypatch):
    monkeypatch.setattr(ordering, "MEMORY", ("16MB",))
    with pytest.raises(duckdb.OutOfMemoryException):
        list(sorted_rows("select * from shards order by text", shards=shards))
