"""Objects in a local folder, on a real S3 server (moto's, on loopback) and on those of tests/emulators.py, where they
are installed: all held to the same promises.
"""

import os
import shutil
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import boto3
import pytest
from botocore.stub import Stubber

from gsr_dagster.experiment.errors import UserError
from gsr_dagster.experiment.keys import ArtifactKey
from resources.store.artifacts import ArtifactStore, open_objects
from resources.store.errors import ArtifactError
from resources.store.files import scratch_folder, write_atomically
from resources.store.hashes import read_sha256sums, sha256sums
from resources.store.manifests import Recipe
from resources.store.objects.base import ConflictError, Objects
from resources.store.objects.local import LocalObjects
from resources.store.objects.s3 import S3Objects
from resources.store.views import session

KEY = ArtifactKey("base/candidate_pools", "sums|m")


def s3_client():
    from dagster_aws.s3 import S3Resource

    return S3Resource().get_client()


@pytest.fixture(params=["local", "s3", "gs", "az"])
def objects(request, tmp_path, monkeypatch, bucket_environment) -> Objects:
    if request.param == "local":
        return LocalObjects(tmp_path / "root")
    for name, value in bucket_environment(request.param).items():
        monkeypatch.setenv(name, value)
    return open_objects(f"{request.param}://artifacts/{uuid.uuid4()}/")


def test_an_object_is_read_as_it_was_written(objects):
    assert objects.read("a/b/one") is None
    assert objects.local("a/b/one") is None
    objects.write("a/b/one", b"1")
    objects.write("a/b/two", b"2")
    objects.write("a/other", b"3")
    assert objects.read("a/b/one") == b"1"
    path = objects.local("a/b/two")
    assert path is not None
    assert path.read_bytes() == b"2"
    assert objects.names("a/b") == ["one", "two"]
    assert objects.names("nowhere") == []
    assert objects.tree() == ["a/b/one", "a/b/two", "a/other"]
    objects.remove("a/b/one")
    objects.remove("a/b/one")
    assert objects.names("a/b") == ["two"]


def test_a_file_is_uploaded_whole_and_in_place_of_another(objects, tmp_path):
    weights = tmp_path / "weights"
    # The second is past what is sent in one part. The server that stands for Google knows no parts.
    for size in (10, 4 << 20) if objects.address("").startswith("gs:") else (10, 20 << 20):
        weights.write_bytes(os.urandom(size))
        objects.upload("model/weights", weights)
        assert objects.read("model/weights") == weights.read_bytes()


def test_an_object_is_replaced_only_where_it_is_what_was_expected(objects):
    objects.replace("manifest", b"1", expected=None)
    with pytest.raises(ConflictError):
        objects.replace("manifest", b"2", expected=None)
    with pytest.raises(ConflictError):
        objects.replace("manifest", b"2", expected=b"0")
    objects.replace("manifest", b"2", expected=b"1")
    assert objects.read("manifest") == b"2"


def test_of_many_writers_at_once_one_wins(objects):
    outcomes = []

    def write(number: int) -> None:
        try:
            objects.replace("manifest", str(number).encode(), expected=None)
            outcomes.append(number)
        except ConflictError:
            outcomes.append(None)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (winner,) = [number for number in outcomes if number is not None]
    assert objects.read("manifest") == str(winner).encode()


@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "/tmp/evil", ".."])
def test_no_name_leads_out_of_the_folder(tmp_path, name):
    objects = LocalObjects(tmp_path / "root")
    for use in (objects.read, objects.remove, objects.local, objects.names, lambda name: objects.write(name, b"")):
        with pytest.raises(ValueError, match="leads out of"):
            use(name)


def test_equal_writes_at_the_same_moment_agree_on_s3(tmp_path):
    """S3 answers 409 while another writer's put of the same key is under way, which moto does not."""
    client = boto3.client("s3", aws_access_key_id="x", aws_secret_access_key="y", region_name="us-east-1")
    with Stubber(client) as stubber:
        stubber.add_client_error("put_object", "ConditionalRequestConflict", http_status_code=409)
        stubber.add_client_error("get_object", "NoSuchKey", http_status_code=404)
        stubber.add_response("put_object", {})
        S3Objects("s3://bucket/prefix", client, tmp_path).write("shard", b"rows")
        stubber.assert_no_pending_responses()


NOT_IMPLEMENTED = b"""<?xml version="1.0"?><Error><Code>NotImplemented</Code>
<Message>A header you provided implies functionality that is not implemented</Message><Header>If-None-Match</Header></Error>"""
NO_SUCH_KEY = b"<Error><Code>NoSuchKey</Code><Message>none</Message></Error>"


class NoConditions(BaseHTTPRequestHandler):
    """An object store that refuses conditional writes."""

    def do_PUT(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(501, NOT_IMPLEMENTED)

    def do_GET(self):
        self._answer(404, NO_SUCH_KEY)

    def _answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def test_a_server_without_conditional_writes_is_named_as_that(s3_environment, monkeypatch):
    server = ThreadingHTTPServer(("127.0.0.1", 0), NoConditions)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for name, value in {**s3_environment, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}"}.items():
        monkeypatch.setenv(name, value)
    store = ArtifactStore(root="s3://artifacts/p")
    uses = (lambda: store.objects.replace("manifest", b"1", None), lambda: store.put_shard(Recipe(KEY, {}), [{"a": 1}]))
    for use in uses:
        with pytest.raises(UserError) as refused:
            use()
        assert "s3://artifacts/p/" in str(refused.value)
        assert "this object store has no conditional writes (If-None-Match, If-Match)" in str(refused.value)
        assert "Amazon S3, MinIO and Cloudflare R2 have them" in str(refused.value)
    server.shutdown()


class ReadsOverConditions:
    """S3's client of a server that takes a conditional write for any other."""

    def __init__(self, client):
        self.client = client

    def __getattr__(self, name):
        return getattr(self.client, name)

    def put_object(self, *, IfMatch=None, IfNoneMatch=None, **put):  # noqa: N803
        return self.client.put_object(**put)


def test_a_server_that_reads_over_conditions_is_named_before_it_overwrites_a_manifest(
    s3_environment, monkeypatch, tmp_path
):
    for name, value in s3_environment.items():
        monkeypatch.setenv(name, value)
    root = f"s3://artifacts/{uuid.uuid4()}"
    objects = S3Objects(root, ReadsOverConditions(s3_client()), tmp_path / "cache")
    with pytest.raises(UserError, match="It reads over them"):
        objects.replace("manifest", b"1", None)
    S3Objects(root, s3_client(), tmp_path / "cache").replace("manifest", b"2", b"1")
    with pytest.raises(UserError, match="It reads over them"):
        objects.replace("manifest", b"3", b"2")
    assert objects.read("manifest") == b"2"


def test_whether_conditions_hold_is_asked_once(s3_environment, monkeypatch, tmp_path):
    for name, value in s3_environment.items():
        monkeypatch.setenv(name, value)
    objects, puts = S3Objects(f"s3://artifacts/{uuid.uuid4()}", s3_client(), tmp_path / "cache"), []
    put = objects._put
    monkeypatch.setattr(objects, "_put", lambda *sent, **condition: (puts.append(sent), put(*sent, **condition)))
    objects.replace("manifest", b"1", None)
    objects.replace("manifest", b"2", b"1")
    objects.replace("other", b"1", None)
    assert len(puts) == 4


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_atomically(path, b"old")
    monkeypatch.setattr(os, "fsync", lambda handle: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_writer_left_is_removed_a_day_later_and_not_before(tmp_path):
    old, young = tmp_path / "asset" / "fingerprint" / ".writing-old", tmp_path / "asset" / ".writing-young"
    old.parent.mkdir(parents=True)
    for path in (old, young):
        path.write_bytes(b"half a sh")
    os.utime(old, (time.time() - 25 * 3600,) * 2)
    LocalObjects(tmp_path).replace("asset/manifest.json", b"1", expected=None)
    assert not old.exists()
    assert young.exists()


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_scratch_folder_goes_and_so_does_what_a_killed_process_left_a_day_ago(tmp_path):
    (old := tmp_path / ".writing-old").mkdir()
    (old / "checkpoint").write_text("x")
    with scratch_folder(tmp_path) as scratch:
        (scratch / "job.json").write_text("{}")
        for path in (old / "checkpoint", old):
            os.utime(path, (time.time() - 25 * 3600,) * 2)
        (long := tmp_path / ".writing-long").mkdir()
        (long / "history.jsonl").write_text("{}")
        os.utime(long, (time.time() - 25 * 3600,) * 2)  # what lies in it was touched just now
        with scratch_folder(tmp_path):
            assert not old.exists()
            assert long.exists()
            assert scratch.exists()
    assert not scratch.exists()


def test_hashes_are_read_as_they_were_written_and_nothing_else_is():
    hashes = {"config.json": "0" * 64, "model.safetensors": "ab" * 32}
    assert read_sha256sums(sha256sums(hashes).encode()) == hashes
    for line in ("x", "0" * 64, f"{'0' * 64}  ../x", f"{'0' * 64}  /x", f"{'0' * 63}  x", "\udcff", f"{'0' * 64} *x"):
        with pytest.raises(ValueError):  # noqa: PT011
            read_sha256sums(f"{sha256sums(hashes)}{line}\n".encode("utf-8", "surrogateescape"))
    with pytest.raises(ValueError, match="line 2 is not a sha256 and a name"):
        read_sha256sums(sha256sums(hashes).encode()[:-1])


@pytest.mark.parametrize("scheme", ["s3", "gs", "az"])
def test_artifacts_in_a_bucket_are_read_through_a_cache_that_can_be_lost(
    scheme, bucket_environment, monkeypatch, tmp_path
):
    environment = bucket_environment(scheme)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    cache = Path(environment["GSR_CACHE"])
    store = ArtifactStore(root=f"{scheme}://artifacts/{uuid.uuid4()}")
    recipe = Recipe(ArtifactKey("lora_checkpoints", "student"), settings={"x": 1})
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    (folder / "adapter_config.json").write_text("{}")
    (folder / "adapter_model.safetensors").write_bytes(os.urandom(1 << 20))
    rows = [{"step": 1, "loss": 0.5}]
    manifest = store.publish(recipe, [store.put_shard(recipe, rows)], {}, store.put_files(recipe, folder))
    for _ in range(2):
        assert contents(folder).items() <= contents(store.local_files(recipe.key)).items()
        assert store.read(recipe.key) == rows
        assert store.current(recipe) is not None
        shutil.rmtree(cache)
    assert store.read(recipe.key) == rows
    assert store.local_files(recipe.key).is_dir()
    assert session(store).sql("select partition, loss from lora_checkpoints").fetchall() == [("student", 0.5)]
    copies = cache / ("s3" if scheme == "s3" else "cloud")
    cached = [path for path in copies.rglob("*") if path.is_file()]
    assert len(cached) == 4
    for path in cached:
        path.write_bytes(path.read_bytes()[:-1])
    assert store.read(recipe.key) == rows  # fetched again
    assert contents(folder).items() <= contents(store.local_files(recipe.key)).items()
    (tmp_path / "damaged").write_bytes(b"cut off")
    place, shard = f"{recipe.key.path}/{recipe.fingerprint}", manifest.shards[0]
    store.objects.upload(f"{place}/{manifest.files[1].name}", tmp_path / "damaged")
    with pytest.raises(ArtifactError, match=r"adapter_model\.safetensors is damaged"):
        store.local_files(recipe.key)
    store.objects.upload(f"{place}/{shard.name}", tmp_path / "damaged")
    assert store.put_shard(recipe, rows) == shard
    assert store.read(recipe.key) == rows
    assert cache.is_dir()
