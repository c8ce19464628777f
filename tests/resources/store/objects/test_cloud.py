"""What can be wrong with a bucket of Google's or a container of Azure's, and writers that race for one object."""

import os
import subprocess
import sys
import threading
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from gsr_dagster.experiment.errors import UserError
from resources.store.artifacts import open_objects
from tests import emulators

RACE = """
import sys
from resources.store.artifacts import open_objects
from resources.store.objects.base import ConflictError

objects = open_objects(sys.argv[1])
objects.read("manifest-0")
print("ready", flush=True)
for line in sys.stdin:
    name, content, expected = line.split()
    try:
        objects.replace(name, content.encode(), None if expected == "none" else expected.encode())
        print("won", flush=True)
    except ConflictError:
        print("lost", flush=True)
"""
ROUNDS = 12
WRITERS = 4


@pytest.fixture
def settings(monkeypatch, tmp_path):
    """Set nothing but what a test sets, with an empty cache and no credentials of whoever runs it."""
    for name in list(os.environ):
        if name.startswith(("AZURE_", "GOOGLE_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GSR_CACHE", str(tmp_path / "cache"))
    return lambda values: [monkeypatch.setenv(name, value) for name, value in values.items()]


def refused(root: str) -> str:
    """Return what is said where a bucket is read."""
    with pytest.raises(UserError) as error:
        open_objects(root).read("manifest")
    assert root in str(error.value)
    assert "\n" not in str(error.value)
    assert "Debug" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("scheme", ["gs", "az"])
def test_without_obstore_the_line_that_installs_it_is_said(monkeypatch, scheme):
    monkeypatch.setitem(sys.modules, "obstore", None)
    with pytest.raises(UserError, match=rf"{scheme}://bucket/p: .* needs obstore: pip install 'gsr-dagster\[cloud\]'"):
        open_objects(f"{scheme}://bucket/p")


FORK = """
import os
from resources.store.artifacts import open_objects

def use():
    try:
        open_objects("az://artifacts/prefix").tree()
    except Exception as error:
        print(type(error).__name__, error, flush=True)

use()
if child := os.fork():
    os.waitpid(child, 0)
else:
    use()
    os._exit(0)
"""


def test_a_forked_process_says_that_it_cannot_use_a_bucket_and_does_not_hang(settings):
    pytest.importorskip("obstore")
    account = {"AZURE_STORAGE_ACCOUNT_NAME": "someone", "AZURE_SKIP_SIGNATURE": "true", "AZURE_ALLOW_HTTP": "true"}
    settings({**account, "AZURE_STORAGE_ENDPOINT": "http://127.0.0.1:9"})
    done = subprocess.run([sys.executable, "-c", FORK], stdout=subprocess.PIPE, text=True, timeout=120)
    first, second = done.stdout.splitlines()
    assert "the server cannot be reached" in first
    assert second == "RuntimeError obstore was used before this process was forked: spawn it instead"


@pytest.mark.parametrize("scheme", ["gs", "az"])
def test_of_processes_that_race_for_an_object_one_wins_each_time(bucket_environment, scheme, settings):
    environment = bucket_environment(scheme)
    settings(environment)
    root = f"{scheme}://artifacts/{uuid.uuid4()}"
    writers = [
        subprocess.Popen([sys.executable, "-c", RACE, root], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(WRITERS)
    ]

    def said() -> list[str]:
        return [writer.stdout.readline().strip() for writer in writers if writer.stdout]

    try:
        assert said() == ["ready"] * WRITERS
        objects = open_objects(root)
        for turn in range(ROUNDS):  # every name is made anew, and then replaced
            name = f"manifest-{turn // 2}"
            before = objects.read(name)
            for number, writer in enumerate(writers):
                assert writer.stdin
                writer.stdin.write(f"{name} {turn}-{number} {before.decode() if before else 'none'}\n")
                writer.stdin.flush()
            outcomes = said()
            assert sorted(outcomes) == ["lost"] * (WRITERS - 1) + ["won"]
            assert objects.read(name) == f"{turn}-{outcomes.index('won')}".encode()
    finally:
        for writer in writers:
            writer.kill()
            writer.communicate()


def test_a_container_that_is_not_there_is_named_as_that(azure_server, settings):
    """fake-gcs-server answers 500 for a bucket that is not there; Google's own answer, 404, is tried below."""
    settings(azure_server)
    assert "there is no such bucket" in refused("az://nowhere/prefix")
    objects = open_objects("az://nowhere/prefix")
    for use in (lambda: objects.replace("manifest", b"1", None), objects.tree, lambda: objects.local("manifest")):
        with pytest.raises(UserError, match="there is no such bucket"):
            use()


def test_a_key_that_azure_refuses_is_said_with_the_variables(azure_server, settings):
    settings({**azure_server, "AZURE_STORAGE_ACCOUNT_KEY": "d3Jvbmc="})
    said = refused("az://artifacts/prefix")
    assert "the credentials are refused, or may not do this" in said
    assert "AZURE_STORAGE_ACCOUNT_KEY" in said
    assert "d3Jvbmc=" not in said


def test_credentials_that_are_not_there_are_said_with_the_variables(settings):
    pytest.importorskip("obstore")
    said = refused("az://artifacts/prefix")
    assert "no valid credentials (set AZURE_STORAGE_ACCOUNT_NAME" in said
    settings({"GOOGLE_APPLICATION_CREDENTIALS": "/nowhere/key.json"})
    said = refused("gs://artifacts/prefix")
    assert "no valid credentials (GOOGLE_APPLICATION_CREDENTIALS names a key's file" in said
    assert "/nowhere/key.json" in said


class Answer(BaseHTTPRequestHandler):
    """Answers everything with one status."""

    status = 501

    def do_GET(self):
        self.send_response(self.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_PUT(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()

    def log_message(self, *_):
        pass


@pytest.mark.parametrize(
    ("status", "meaning"),
    [
        (401, "no valid credentials"),
        (403, "the credentials are refused, or may not do this: reading, writing, deleting and listing are needed"),
        (404, "there is no such bucket"),
        (501, "this server lacks something that is needed, such as listing or conditional writes"),
    ],
)
def test_what_a_server_answers_is_said_in_words(settings, status, meaning):
    pytest.importorskip("obstore")
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Only", (Answer,), {"status": status}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    settings({"GOOGLE_BASE_URL": address, "GOOGLE_ALLOW_HTTP": "true", "GOOGLE_SKIP_SIGNATURE": "true"})
    assert meaning in refused("gs://artifacts/prefix")
    account = {"AZURE_STORAGE_ACCOUNT_NAME": "someone", "AZURE_SKIP_SIGNATURE": "true", "AZURE_ALLOW_HTTP": "true"}
    settings({**account, "AZURE_STORAGE_ENDPOINT": address})
    assert meaning in refused("az://artifacts/prefix")
    server.shutdown()
    server.server_close()
    assert "the server cannot be reached" in refused("az://artifacts/prefix")


def test_a_server_that_reads_over_conditions_is_named_before_it_overwrites_a_manifest(settings, tmp_path):
    pytest.importorskip("obstore")
    if emulators.google_binary() is None:
        pytest.skip("fake-gcs-server is not installed: make test-cloud")
    with emulators.google(tmp_path, obeys=False) as environment:
        settings(environment)
        objects = open_objects("gs://artifacts/prefix")
        with pytest.raises(UserError, match=r"no conditional writes.*It reads over them"):
            objects.replace("manifest", b"1", None)
        assert objects.read("manifest") == b"1"
        with pytest.raises(UserError, match="It reads over them"):
            objects.replace("manifest", b"2", b"1")
        assert objects.read("manifest") == b"1"
