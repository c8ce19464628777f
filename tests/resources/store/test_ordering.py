"""Rows that are sorted in parts on disk: in the order that all of them together would have, whatever the parts."""

import random
import string
from itertools import pairwise

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

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


@pytest.mark.parametrize(("part", "merged"), [(1 << 30, 1 << 20), (4_000_000, 100_000), (200_000, 1)])
def test_rows_of_a_problem_come_together_however_little_is_in_memory(shards, monkeypatch, part, merged):
    monkeypatch.setattr(ordering, "BYTES_OF_A_PART", part)
    monkeypatch.setattr(ordering, "BYTES_MERGED", merged)
    found = list(rows_by_problem(shards, "text"))
    assert [problem for problem, _ in found] == [f"p{number:03}" for number in range(300)]
    for problem, rows in found:
        assert [row["sample_index"] for row in rows] == list(range(8))
        assert all(row["text"].endswith(problem) for row in rows)


ROWS = st.lists(st.tuples(st.text(max_size=3), st.integers(-3, 3)), max_size=30)


@given(ROWS, st.integers(1, 200), st.lists(st.integers(0, 30), max_size=3))
def test_the_order_is_that_of_pythons_sort_and_equal_rows_stay_as_they_came(rows, part, cuts):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ordering, "BYTES_OF_A_PART", part)
        patch.setattr(ordering, "BYTES_MERGED", part // 2 + 1)
        every = [{"name": name, "index": index, "came": came} for came, (name, index) in enumerate(rows)]
        ends = [0, *sorted(min(cut, len(rows)) for cut in cuts), len(rows)]
        columns = pa.schema({"name": pa.string(), "index": pa.int64(), "came": pa.int64()})
        tables = [pa.Table.from_pylist(every[start:end], columns) for start, end in pairwise(ends)]
        assert list(sorted_rows(tables, "name", "index")) == sorted(every, key=lambda row: (row["name"], row["index"]))


def test_a_column_that_some_shards_do_not_have_is_none_there(tmp_path):
    pq.write_table(pa.table({"problem_id": ["b"], "sure": [0.5]}), tmp_path / "new.parquet")
    pq.write_table(pa.table({"problem_id": ["a"]}), tmp_path / "old.parquet")
    shards = [tmp_path / "new.parquet", tmp_path / "old.parquet"]
    assert list(rows_by_problem(shards, "sure", within=())) == [
        ("a", [{"problem_id": "a", "sure": None}]),
        ("b", [{"problem_id": "b", "sure": 0.5}]),
    ]
    assert list(rows_by_problem([], "sure")) == []


def test_nothing_is_left_of_a_reading_that_ends_early(shards, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    rows = rows_by_problem(shards, "text")
    next(rows)
    assert list(tmp_path.iterdir())
    del rows
    assert not list(tmp_path.iterdir())
