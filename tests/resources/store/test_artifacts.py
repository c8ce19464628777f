import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from gsr_dagster.experiment.keys import ArtifactKey
from resources.store.artifacts import ArtifactStore
from resources.store.errors import ArtifactError
from resources.store.manifests import Recipe, signed

KEY = ArtifactKey("base/candidate_pools", "sums|smollm2-135m")
ROWS = [{"id": "a", "value": 1.5, "list": ["x"]}, {"id": "b", "value": None, "list": []}]


@pytest.fixture
def store(tmp_path) -> ArtifactStore:
    return ArtifactStore(root=str(tmp_path))


def recipe(key: ArtifactKey = KEY, **changes) -> Recipe:
    return Recipe(key, **{"settings": {"temperature": 0.7}, "wanted": {"samples": 4}, **changes})


def publish(store: ArtifactStore, made: Recipe, rows=ROWS):
    return store.publish(made, [store.put_shard(made, rows)], {"rows": len(rows)}, replaced=store.manifest(made.key))


def shard_path(store: ArtifactStore, made: Recipe):
    return Path(store.address(made, store.shard_names(made)[0]))


def test_rows_come_back_as_they_were_written(store):
    publish(store, recipe())
    assert store.read(KEY) == ROWS


def test_equal_work_gives_the_same_data_version_in_another_root(store, tmp_path):
    elsewhere = ArtifactStore(root=str(tmp_path / "elsewhere"))
    assert publish(store, recipe()).data_version == publish(elsewhere, recipe()).data_version


def test_an_artifact_is_current_until_its_settings_its_number_or_its_upstream_change(store):
    upstream = recipe(ArtifactKey("benchmark_problems", "sums"))
    publish(store, upstream)
    made = recipe(upstream=(upstream.key,))
    publish(store, made)
    assert store.current(made)
    assert not store.current(recipe(upstream=(upstream.key,), settings={"temperature": 1.0}))
    assert not store.current(recipe(upstream=(upstream.key,), wanted={"samples": 8}))
    publish(store, upstream, ROWS[:1])
    assert not store.current(made)


def test_how_many_are_wanted_is_no_part_of_the_fingerprint():
    assert recipe(wanted={"samples": 8}).fingerprint == recipe().fingerprint
    assert recipe(settings={"temperature": 1.0}).fingerprint != recipe().fingerprint


def test_nothing_is_published_on_missing_upstream(store):
    with pytest.raises(ArtifactError, match=r"benchmark_problems\[sums\] is missing"):
        publish(store, recipe(upstream=(ArtifactKey("benchmark_problems", "sums"),)))
    assert store.manifest(KEY) is None


def test_a_flipped_byte_is_found_and_named(store):
    made = recipe()
    publish(store, made)
    path = shard_path(store, made)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match=f"{path.name} is damaged"):
        store.read(KEY)


def test_a_missing_shard_makes_an_artifact_stale(store):
    made = recipe()
    publish(store, made)
    shard_path(store, made).unlink()
    assert not store.current(made)
    with pytest.raises(ArtifactError, match="is missing"):
        store.read(KEY)


@pytest.mark.parametrize("change", [lambda text: text[:100], lambda text: text.replace(b'"rows": 2', b'"rows": 3')])
def test_a_damaged_manifest_cannot_be_read_and_the_artifact_is_published_again(store, tmp_path, caplog, change):
    first = publish(store, recipe())
    path = tmp_path / KEY.path / "manifest.json"
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(ArtifactError, match=r"manifest\.json is damaged: it"):
        store.read(KEY)
    assert not store.current(recipe())
    assert "manifest.json is damaged" in caplog.text
    assert publish(store, recipe()) == first
    assert store.read(KEY) == ROWS


def test_a_manifest_that_lies_elsewhere_is_not_read(store, tmp_path):
    publish(store, recipe())
    other = recipe(ArtifactKey(KEY.asset, "sums|smollm2-360m"))
    publish(store, other)
    shutil.copy(tmp_path / KEY.path / "manifest.json", tmp_path / other.key.path / "manifest.json")
    with pytest.raises(ArtifactError, match=r"smollm2-360m.*damaged: it is the manifest of .*smollm2-135m"):
        store.read(other.key)
    assert not store.current(other)


def test_a_manifest_of_another_version_is_neither_read_nor_damaged(store, tmp_path, caplog):
    first = publish(store, recipe())
    path = tmp_path / KEY.path / "manifest.json"
    path.write_bytes(signed({**first.model_dump(mode="json"), "new\u202e": 1}))
    for use in (store.read, store.manifest, lambda key: publish(store, recipe(key))):
        with pytest.raises(ArtifactError, match=r"is of another version of gsr: new.*202e: Extra inputs"):
            use(KEY)
    assert not list(store.verified.damage())
    assert "is of another version of gsr" in caplog.text


@dataclass(frozen=True)
class Scores:
    pass_at_1: float


def test_a_summary_comes_back_by_name_and_is_refused_where_it_lacks_what_is_needed(store):
    made = recipe()
    store.publish(made, [], {"pass_at_1": 1, "k": 4})
    assert store.summary(KEY, Scores) == Scores(pass_at_1=1.0)
    store.publish(made, [], {"pass_at_1": "1"}, replaced=store.manifest(KEY))
    with pytest.raises(ArtifactError, match=r"not written by this version of gsr: summary\.pass_at_1: .*number"):
        store.summary(KEY, Scores)


def test_a_shard_whose_name_is_too_short_to_hold_a_hash_is_no_shard(store):
    made = recipe()
    publish(store, made)
    path = shard_path(store, made)
    path.rename(path.with_name("shard-.parquet"))
    with pytest.raises(ArtifactError, match=r"shard-\.parquet is damaged"):
        store.read_shard(KEY, made.fingerprint, "shard-.parquet")


@pytest.fixture
def files(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    (folder / "adapter.safetensors").write_text("weights")
    (folder / "config.json").write_text("{}")
    return folder


def test_all_damage_is_found(store, files):
    made = recipe()
    store.publish(made, [store.put_shard(made, ROWS)], {}, store.put_files(made, files))
    store.put_shard(made, ROWS[:1])  # which no manifest names
    assert not list(store.verified.damage())
    paths = sorted(path for path in Path(store.root).rglob("*") if path.is_file() and not path.name.startswith("."))
    assert len(paths) == 6
    for path in paths:
        path.write_bytes(path.read_bytes()[:-1])
    found = dict(store.verified.damage())
    assert sorted(found) == [path.relative_to(store.root).as_posix() for path in paths]
    said = {Path(name).name: fault for name, fault in found.items()}
    for path in paths:
        wrong = "cannot be checked" if path.name in ("adapter.safetensors", "config.json") else "is damaged"
        assert f"{path.name} {wrong}" in said[path.name]


@pytest.mark.parametrize("lost", ["manifest.json", "SHA256SUMS"])
def test_a_damaged_file_is_found_by_its_manifest_and_without_it_by_the_hashes_beside_it(store, files, lost):
    made = recipe()
    store.publish(made, [], {}, store.put_files(made, files))
    for name in (lost, "config.json"):
        next(Path(store.root).rglob(name)).write_text("changed")
    assert {Path(name).name for name, _ in store.verified.damage()} == {lost, "config.json"}


def test_the_hashes_of_files_are_what_sha256sum_reads(store, files):
    made = recipe()
    store.publish(made, [], {}, store.put_files(made, files))
    subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=store.local_files(KEY), check=True)


def test_files_of_another_run_stay_whole(store, tmp_path):
    made = recipe()
    for content in ("one", "other"):
        folder = tmp_path / content
        folder.mkdir()
        (folder / "adapter.safetensors").write_text(content)
    first = store.publish(made, [], {}, store.put_files(made, tmp_path / "one"))
    store.put_files(made, tmp_path / "other")
    assert not list(store.verified.damaged_files(first))
    assert (store.local_files(KEY) / "adapter.safetensors").read_text() == "one"


def test_of_two_runs_the_second_to_publish_says_so_and_loses_nothing(store):
    made = recipe()
    first = publish(store, made)
    with pytest.raises(ArtifactError, match="another run published it in the meantime, and its artifact stays"):
        store.publish(made, [store.put_shard(made, ROWS[:1])], {"rows": 1}, replaced=None)
    assert store.manifest(KEY) == first
    assert store.read(KEY) == ROWS


def test_two_runs_that_make_the_same_agree(store):
    made = recipe()
    first = publish(store, made)
    again = store.publish(made, [store.put_shard(made, ROWS)], {"rows": len(ROWS)}, replaced=None)
    assert again.data_version == first.data_version


def test_content_tells_of_rows_alone(store):
    one, other = recipe(), Recipe(ArtifactKey("other"), settings={"x": 1})
    assert publish(store, one).content == publish(store, other).content
    assert store.data_version(one.key) != store.data_version(other.key)
    assert store.content(one.key) != publish(store, one, ROWS[:1]).content
    assert store.verified.published() == sorted([one.key, other.key])
