"""A folder of shards reads as one table, in all that reads Parquet, whatever the rows of each hold."""

import hashlib
import io
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gsr_dagster.experiment.keys import ArtifactKey
from gsr_dagster.method.scoring.diagnostics import refiner_diagnostics
from resources.store.artifacts import ArtifactStore
from resources.store.columns import COLUMNS, DIAGNOSED, known_columns, table_of
from resources.store.manifests import Recipe
from resources.store.tables import encode

ASSETS = sorted([*COLUMNS, "aggregation/refined"])


def value_of(kind: pa.DataType) -> st.SearchStrategy:
    """Return values of a column, often none and often empty."""
    if pa.types.is_struct(kind):
        whole = st.fixed_dictionaries({field.name: value_of(field.type) for field in kind})
    elif pa.types.is_list(kind):
        whole = st.lists(value_of(kind.value_type), max_size=2)
    elif pa.types.is_boolean(kind):
        whole = st.booleans()
    elif kind == pa.uint16():
        whole = st.integers(0, 2**16 - 1)
    elif pa.types.is_integer(kind):
        whole = st.integers(-(2**31), 2**31)
    elif pa.types.is_floating(kind):
        whole = st.one_of(st.integers(-5, 5), st.floats(allow_nan=False))
    else:
        whole = st.text(st.characters(codec="utf-8"), max_size=5)
    return st.one_of(st.none(), whole)


@settings(max_examples=150)
@given(st.data())
def test_the_type_of_a_column_is_that_of_its_asset_whatever_the_rows_hold(data):
    asset = data.draw(st.sampled_from(ASSETS))
    known = known_columns(asset)
    row = st.fixed_dictionaries({name: value_of(kind) for name, kind in known.items()})
    shards = [table_of(asset, data.draw(st.lists(row, min_size=1, max_size=3))) for _ in range(2)]
    for table in shards:
        assert table.schema == pa.schema(dict(known))
        assert pq.read_table(io.BytesIO(encode(table))).num_rows == table.num_rows
    assert pa.concat_tables(shards).num_rows == sum(table.num_rows for table in shards)


def awkward(rows: list[dict], keep: str) -> list[dict]:
    """Return rows without any value but the first column's, lists without a member."""
    return [
        {name: value if name == keep else [] if isinstance(value, list) else None for name, value in row.items()}
        for row in rows
    ]


def read_by_all(files: list[str], cache: Path) -> set[int]:
    """Return how many rows each reader finds in files that it takes for one table."""
    import datasets

    listed = ", ".join(f"'{file}'" for file in files)
    (counted,) = duckdb.sql(
        f"select count(*) from (select * from read_parquet([{listed}], union_by_name = false))"
    ).fetchall()
    loaded = datasets.load_dataset("parquet", data_files=files, split="train", cache_dir=str(cache))
    assert len(loaded[:]) == len(loaded.features)  # each value is read
    return {pyarrow.dataset.dataset(files).to_table().num_rows, counted[0], loaded.num_rows}


def test_every_asset_of_a_finished_experiment_reads_as_one_table_beside_rows_that_say_nothing(
    finished_school, tmp_path
):
    school = finished_school
    by_asset: dict[str, list[ArtifactKey]] = {}
    for key in school.store.verified.published():
        if school.store.existing(key).shards:
            by_asset.setdefault(key.asset, []).append(key)
    assert len(by_asset) >= 16
    other = ArtifactStore(root=str(tmp_path / "artifacts"))
    for asset, keys in by_asset.items():
        rows = [row for key in keys for row in school.store.read(key)]
        recipe = Recipe(ArtifactKey(asset), {})
        for part in (awkward(rows[:2], next(iter(rows[0]))), rows):  # what says nothing comes first
            other.put_shard(recipe, part)
        folder = Path(other.root, recipe.key.path, recipe.fingerprint)
        files = sorted(map(str, folder.glob("shard-*.parquet")))
        files += [str(path) for key in keys for path in school.store.local_shards(key)]
        wanted = 2 * len(rows) + len(rows[:2])
        assert read_by_all(files, tmp_path / "cache") == {wanted}, asset
        assert read_by_all(files[::-1], tmp_path / "cache") == {wanted}, asset
        assert pyarrow.dataset.dataset(folder).to_table().num_rows == len(rows) + len(rows[:2])


def test_every_column_of_a_finished_experiment_is_declared(finished_school):
    for key in finished_school.store.verified.published():
        manifest, known = finished_school.store.existing(key), known_columns(key.asset)
        for shard in manifest.shards:
            schema = finished_school.store.read_shard(key, manifest.fingerprint, shard.name).schema
            assert {field.name: field.type for field in schema} == {name: known[name] for name in schema.names}, key


def test_rows_that_say_all_are_the_bytes_that_they_were_before_columns_were_declared(finished_school):
    for key in finished_school.store.verified.published():
        if key.asset == "refinement_gap_scaling":  # its intervals were of those scores that there are
            continue
        for shard in finished_school.store.existing(key).shards:
            rows = list(
                finished_school.store.read_shards(key, finished_school.store.existing(key).fingerprint, [shard])
            )
            buffer = io.BytesIO()
            pq.write_table(pa.Table.from_pylist(rows), buffer, compression="zstd")
            assert hashlib.sha256(buffer.getvalue()).hexdigest() == shard.sha256, key


def test_a_column_that_only_later_rows_have_is_kept():
    table = table_of("base/gap_reports", [{"group_id": "g0"}, {"group_id": "g1", "vote": 1, "of_others": "x"}])
    assert table.to_pylist() == [
        {"group_id": "g0", "vote": None, "of_others": None},
        {"group_id": "g1", "vote": 1.0, "of_others": "x"},
    ]


def test_a_part_of_a_column_that_nobody_declared_is_kept():
    interval = {"estimate": 0.5, "low": 0.0, "high": 1.0, "standard_error": 0.1}
    rows = [{"diagnostics": {"copies": interval, "newly_measured": interval}}]
    (read,) = table_of("refinement_gap_scaling", rows).to_pylist()
    assert read["diagnostics"]["newly_measured"] == interval
    assert read["diagnostics"]["truncated"] is None


def test_the_names_of_all_diagnostics_are_declared():
    assert sorted(refiner_diagnostics([], seed=0)) == sorted(DIAGNOSED)


@pytest.mark.parametrize("asset", ["somebody/elses", "aggregation"])
def test_rows_of_an_asset_that_nobody_knows_are_stored_as_they_are_found(asset):
    rows = [{"a": None, "b": [1, 2]}, {"a": "x", "b": []}]
    assert table_of(asset, rows).to_pylist() == rows
