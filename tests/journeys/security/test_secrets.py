"""Planted keys are found nowhere: in no log, event, manifest, row, report, object, process list or printed line.

A real run on a served model and a bucket: first with a server that refuses the key and repeats it, then with one
that fails one request in five in every way, and with a hub and a tracking server that repeat their token.
"""

import json
import os
import sqlite3
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import closing, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

from tests.resources.engines.served.test_faults import FaultyServer

SECRETS = {
    "OPENAI_API_KEY": "sk-planted-openai-key",
    "HF_TOKEN": "hf_plantedHubToken",
    "MLFLOW_TRACKING_TOKEN": "planted-mlflow-token",
    "AWS_ACCESS_KEY_ID": "AKIAPLANTEDKEYID",
    "AWS_SECRET_ACCESS_KEY": "planted+aws/secret",
    "GSR_ALERT_SLACK": "http://127.0.0.1:9/slack/T0PLANTED",
    "GSR_ALERT_WEBHOOK": "http://127.0.0.1:9/hook/W0PLANTED",
    "GSR_ALERT_SNS_TOPIC": "arn:aws:sns:us-east-1:123456789012:planted-topic",
}
MLFLOW = find_spec("mlflow") is not None
ROLLOUT = {"temperature": 1.0, "max_new_tokens": 8}
PROBLEMS = [{"id": str(n), "problem": f"{n} + 1?", "answer": str(n + 1)} for n in range(3)]


class Watch(threading.Thread):
    """Reads the command lines of all processes until it is stopped; ``shown`` holds the secrets that stood in one."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.shown: set[str] = set()
        self.read: set[bytes] = set()
        self.ended = threading.Event()

    def run(self) -> None:
        while not self.ended.wait(0.25):
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                with suppress(OSError):
                    self.read.add(path.read_bytes())
        self.shown = {name for name, secret in SECRETS.items() for line in self.read if secret.encode() in line}


def contents(path: Path) -> Iterator[bytes]:
    """Yield all that a file holds, also what is compressed in it."""
    yield path.read_bytes()
    if path.suffix == ".parquet":
        yield json.dumps(pq.read_table(path).to_pylist(), default=str).encode()
    if path.suffix == ".db":
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            tables = [name for (name,) in connection.execute("select name from sqlite_master where type = 'table'")]
            for value in (v for table in tables for row in connection.execute(f'select * from "{table}"') for v in row):
                blob = value if isinstance(value, bytes) else str(value).encode()
                yield blob
                with suppress(zlib.error):
                    yield zlib.decompress(blob)


def holding(folder: Path) -> list[str]:
    """The files below a folder that hold a secret, and which."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    assert files
    return [
        f"{path}: {name}"
        for path in files
        for content in contents(path)
        for name, secret in SECRETS.items()
        if secret.encode() in content
    ]


class Served:
    """An experiment with a served model, its artifacts in a bucket, and every secret in the environment."""

    def __init__(self, folder: Path, tokenizer: Path, s3: dict[str, str]):
        self.folder = folder
        self.model = folder / "tokenizer"
        self.model.mkdir()
        for path in tokenizer.iterdir():
            (self.model / path.name).write_bytes(path.read_bytes())
        (self.model / "model.safetensors").write_bytes(b"served elsewhere")
        (folder / "problems.jsonl").write_text("\n".join(map(json.dumps, PROBLEMS)))
        own = {"GSR_HOME": str(folder / "home"), "GSR_ARTIFACTS": "s3://artifacts/secrets", "COLUMNS": "160"}
        self.environment = {**os.environ, **s3, **SECRETS, **own, "HF_HOME": str(folder / "hub")}
        self.environment.pop("DAGSTER_HOME", None)
        self.said = ""

    def run(self, server: str, source: str = "", **environment: str) -> int:
        engine = {"kind": "openai", "base_url": f"{server}/v1", "model": "m", "retries": 2, "timeout": 5}
        model = {"source": source or f"path:{self.model}", "parameters": 1, "engine": engine}
        document = {
            "name": "secrets",
            "k": 2,
            "families": {"gpt": {"x": model}},
            "benchmarks": {"sums": {"source": "file:problems.jsonl", "samples": 2}},
            "evaluation": {"direct": ROLLOUT, "refinement": ROLLOUT, "candidate_tokens": 64, "grader": "exact"},
            **({"tracking": {"kind": "mlflow"}} if MLFLOW else {}),
        }
        path = self.folder / "experiment.yaml"
        path.write_text(yaml.safe_dump(document))
        gsr = [str(Path(sys.executable).with_name("gsr")), "-e", str(path), "run"]
        named = {"env": {**self.environment, **environment}, "cwd": self.folder, "timeout": 300}
        ran = subprocess.run(gsr, capture_output=True, text=True, **named)
        self.said += ran.stdout + ran.stderr
        (self.folder / f"printed-{time.monotonic_ns()}.log").write_text(ran.stdout + ran.stderr)
        return ran.returncode


def started(server: ThreadingHTTPServer) -> str:
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_address[1]}"


class Repeating(BaseHTTPRequestHandler):
    """A hub, or a tracking server, that refuses, and repeats the token in every way there is."""

    asked: list[str] = []  # noqa: RUF012

    def do_GET(self) -> None:
        token = self.headers["Authorization"] or ""
        self.asked.append(token)
        content = json.dumps({"error": f"no: {token}"}).encode()
        self.send_response(403)
        self.send_header("X-Error-Message", f"no: {token}")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_HEAD(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def served(tmp_path_factory, tokenizer_folder, s3_endpoint):
    s3 = {"AWS_ENDPOINT_URL": s3_endpoint, "AWS_DEFAULT_REGION": "us-east-1"}
    folder = tmp_path_factory.mktemp("secrets")
    return Served(folder, tokenizer_folder, {**s3, "GSR_CACHE": str(folder / "cache")})


def test_a_planted_key_is_found_nowhere(served, s3_endpoint):
    import boto3

    watch = Watch()
    watch.start()
    hub, refusing, failing = (
        ThreadingHTTPServer(("127.0.0.1", 0), Repeating),
        FaultyServer("unauthorized"),
        FaultyServer(),
    )
    try:
        repeating = started(hub)
        here = {"MLFLOW_TRACKING_URI": repeating}
        assert served.run(started(refusing), "hf:org/name@main", HF_ENDPOINT=repeating, **here) == 1
        assert served.run(started(refusing), **here) == 1
        assert served.run(started(failing), **here) == 0
    finally:
        watch.ended.set()
        watch.join()
        for server in (hub, refusing, failing):
            server.shutdown()
            server.server_close()
    assert refusing.keys == failing.keys == {f"Bearer {SECRETS['OPENAI_API_KEY']}"}, "the key was used"
    assert set(Repeating.asked) >= {f"Bearer {SECRETS['HF_TOKEN']}"}, "the token was used"
    assert "AuthenticationError" in served.said
    if MLFLOW:
        assert f"Bearer {SECRETS['MLFLOW_TRACKING_TOKEN']}" in Repeating.asked, "the token was used"
        assert "0 of 1 new trainings and gap reports are tracked with mlflow" in served.said
    assert any(b"gsr" in line for line in watch.read)
    assert watch.shown == set()
    keys = {"aws_access_key_id": "x", "aws_secret_access_key": "y", "region_name": "us-east-1"}
    s3 = boto3.client("s3", endpoint_url=s3_endpoint, **keys)
    objects = s3.list_objects_v2(Bucket="artifacts", Prefix="secrets/")["Contents"]
    for number, entry in enumerate(objects):
        suffix = Path(entry["Key"]).suffix
        s3.download_file("artifacts", entry["Key"], str(served.folder / f"object-{number}{suffix}"))
    assert {Path(entry["Key"]).suffix for entry in objects} == {".json", ".parquet", ".html", ""}
    assert list(served.folder.rglob("*.db")), "Dagster's storage is read too"
    assert holding(served.folder) == []


def test_a_planted_key_would_be_found(tmp_path):
    """By the search of the test above: in the text of a file, in rows, and compressed in a database."""
    import pyarrow as pa

    (tmp_path / "a.log").write_text(SECRETS["HF_TOKEN"])
    pq.write_table(pa.table({"text": [SECRETS["HF_TOKEN"] * 2]}), tmp_path / "b.parquet", compression="zstd")
    with closing(sqlite3.connect(tmp_path / "c.db")) as connection:
        connection.execute("create table runs (body)")
        connection.execute("insert into runs values (?)", [zlib.compress(SECRETS["HF_TOKEN"].encode())])
        connection.commit()
    assert {line.partition(":")[0] for line in holding(tmp_path)} == {str(p) for p in tmp_path.iterdir()}


@pytest.mark.parametrize(
    "address",
    [
        "https://user:secret@host/v1",
        "https://host/v1?api_key=secret",
        "http://secret@host",
        "http:///v1",
        "ftp://host/v1",
    ],
)
def test_an_address_that_holds_a_password_is_refused(tmp_path, address):
    from pydantic import ValidationError

    from gsr_dagster.experiment.engines import OpenAI

    with pytest.raises(ValidationError):
        OpenAI(kind="openai", base_url=address, model="m")
