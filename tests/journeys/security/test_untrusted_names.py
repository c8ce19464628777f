"""Names that lead outside, in manifests, hash lists and recorded samples, and archives that grow: refused, with the reason."""

import gzip
import io
import json
import tarfile
import zipfile

import pytest
from click.testing import CliRunner

from gsr_dagster.commands.main import main
from gsr_dagster.experiment.keys import ArtifactKey
from resources.problems import row_files
from resources.problems.importers import read_recorded
from resources.problems.recorded_samples import ImportFileError
from resources.problems.row_files import read_rows
from resources.store.artifacts import ArtifactStore
from resources.store.errors import ArtifactError
from resources.store.hashes import sha256
from resources.store.manifests import Recipe, StoredFile, signed

OUTSIDE = ["../evil", "../../evil", "/tmp/evil", "a/../../evil", "..", "x*", ".hidden", "a/b/c/d", "x" * 300]


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_manifest_cannot_name_a_file_outside_its_folder(tmp_path, name):
    store = ArtifactStore(root=str(tmp_path / "root"))
    recipe = Recipe(ArtifactKey("lora_checkpoints", "student"), settings={})
    manifest = store.publish(recipe, [], {}, [StoredFile(name="file", sha256="0" * 64)])
    path = tmp_path / "root" / "lora_checkpoints" / "student" / "manifest.json"
    document = manifest.model_dump(mode="json")
    path.write_bytes(signed(document))
    assert store.existing(recipe.key) == manifest
    for where, changed in {
        "files": [{"name": name, "sha256": "0" * 64, "rows": 0}],
        "shards": [{"name": name, "sha256": "0" * 64, "rows": 1}],
        "asset": name,
        "fingerprint": name,
        "upstream": {name: "0" * 64},
    }.items():
        path.write_bytes(signed({**document, where: changed}))
        for use in (lambda: store.existing(recipe.key), store.verified.published):
            with pytest.raises(ArtifactError, match=f"of another version of gsr: {where}"):
                use()


@pytest.mark.parametrize("name", ["../../../victim", "/tmp/victim", "../shard-0123456789abcdef.parquet"])
def test_a_list_of_hashes_cannot_have_a_file_removed_that_is_not_beside_it(tmp_path, name):
    sums = f"{'0' * 64}  {name}\n".encode()
    root = tmp_path / "root"
    (place := root / "a" / "b" / f"files-{sha256(sums)[:16]}").mkdir(parents=True)
    (place / "SHA256SUMS").write_bytes(sums)
    victims = [tmp_path / "victim", root / "a" / "b" / "shard-0123456789abcdef.parquet"]
    for victim in victims:
        victim.write_text("x")
    found = [name for name, _ in ArtifactStore(root=str(root)).verified.damage()]
    assert [found for found in found if "shard" not in found] == []


@pytest.mark.parametrize("name", ["../../../etc/passwd", "/etc/passwd", "..", "a\x00b"])
def test_names_in_recorded_samples_are_only_names(tmp_path, name):
    """They become ids in rows: no file is named by them."""
    row = {"problem_id": name, "problem": name, "answer": "1", "response": name}
    (tmp_path / "rows.jsonl").write_text(json.dumps(row))
    arguments = ["--to", str(tmp_path / "to"), "--model", "a-b", "--parameters", "1", "-k", "1"]
    done = CliRunner().invoke(main, ["import", str(tmp_path / "rows.jsonl"), *arguments])
    assert done.exit_code == 0, done.output
    files = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert files == {"rows.jsonl", "to/experiment.yaml", "to/problems.jsonl", "to/samples.parquet"}


def test_archives_are_no_rows_and_nothing_is_taken_out_of_them(tmp_path):
    content = b'{"problem": "1?", "answer": "1", "response": "1"}\n'
    with zipfile.ZipFile(tmp_path / "rows.jsonl", "w") as archive:
        archive.writestr("../outside.jsonl", content)
    with tarfile.open(tmp_path / "rows.tar.gz", "w:gz") as archive:
        member = tarfile.TarInfo("../outside.jsonl")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    before = set(tmp_path.parent.rglob("*"))
    for name, refusal in (("rows.jsonl", "is a ZIP archive"), ("rows.tar.gz", "is not JSON lines|cannot be read")):
        with pytest.raises(ImportFileError, match=refusal):
            list(read_recorded(tmp_path / name, "rows", {}))
    assert set(tmp_path.parent.rglob("*")) == before


def test_a_small_file_does_not_become_an_enormous_one(tmp_path, monkeypatch):
    import pyarrow as pa
    import pyarrow.parquet as pq

    monkeypatch.setattr(row_files, "ALWAYS_ALLOWED", 1 << 20)
    monkeypatch.setattr(row_files, "LONGEST_LINE", 1 << 21)
    row = {"problem": "1?", "answer": "1", "response": " " * 1000}
    (tmp_path / "many.gz").write_bytes(gzip.compress((json.dumps(row) + "\n").encode() * 10_000))
    (tmp_path / "long.gz").write_bytes(gzip.compress(b" " * (3 << 20)))
    pq.write_table(pa.Table.from_pylist([row] * 10_000), tmp_path / "many.parquet", compression="zstd")
    (tmp_path / "long.jsonl").write_bytes(b" " * (3 << 20))
    for name, why in {
        "many.gz": "more than 200 times its size",
        "many.parquet": "more than 200 times its size",
        "long.gz": "line 1: more than",
        "long.jsonl": "line 1: more than",
    }.items():
        with pytest.raises(row_files.RowFileError, match=why):
            list(read_rows(tmp_path / name))
