"""A tracker and what a server can do to it: real HTTP on loopback, with MLflow's own client."""

import base64
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote

import pytest

from gsr_dagster.experiment.tracking import MLflow, WandB
from resources.tracking.tracked_run import TrackedRun
from resources.tracking.tracker import NotTrackedError, Tracker
from tests.journeys.serving import free_port

RUN = TrackedRun("gap report", {"k": 4}, {"gap": 1.5})
TAGS = {"gsr.data_version": "f00d"}
PASSWORD = "planted@password"
USER_AND_PASSWORD = base64.b64encode(f"me:{PASSWORD}".encode()).decode()


class Server:
    """Answers every request with a status and a document in which it repeats who asked, after some seconds."""

    def __init__(self):
        self.status, self.seconds = 500, 0.0
        self.asked: list[str] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                server.asked.append(self.headers["Authorization"] or "")
                time.sleep(server.seconds)
                said = f"no: {self.headers['Authorization']}, which is {PASSWORD}, for http://me:{quote(PASSWORD)}@host/?key=k"
                content = json.dumps({"error_code": "BAD", "message": said}).encode()
                self.send_response(server.status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def do_POST(self):
                self.do_GET()

            def log_message(self, format, *args):  # noqa: A002
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.server.shutdown()
    server.server.server_close()


def why(tracker: Tracker) -> tuple[str, float]:
    """Return why a run is not tracked, and after how many seconds that was known."""
    started = time.monotonic()
    with pytest.raises(NotTrackedError) as caught:
        tracker.send("base/gap_reports[sums|tiny]", RUN, TAGS, {}, seconds=1)
    return str(caught.value), time.monotonic() - started


def of_mlflow(folder, host: str) -> Tracker:
    pytest.importorskip("mlflow")
    return Tracker("mine", MLflow(kind="mlflow", uri=f"http://{host}"), folder)


def test_a_server_that_is_not_there_is_told_without_waiting_for_it(tmp_path):
    said, seconds = why(of_mlflow(tmp_path, f"127.0.0.1:{free_port()}"))
    assert said == "the server did not answer (ConnectionError)"
    assert seconds < 60


def test_a_server_that_fails_is_asked_three_times(tmp_path, server):
    said, _ = why(of_mlflow(tmp_path, server.host))
    assert said == "the server answered 500"
    assert len(server.asked) == 3


def test_a_slow_server_is_not_waited_for(tmp_path, server, monkeypatch):
    monkeypatch.setattr("resources.tracking.tracker.SECONDS", 1)
    server.seconds = 30
    said, seconds = why(of_mlflow(tmp_path, server.host))
    assert said == "the server was not done within 1 s"
    assert seconds < 30


def test_a_password_is_used_and_told_to_nobody(tmp_path, server, monkeypatch):
    pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:{quote(PASSWORD)}@{server.host}")
    server.status = 400
    said, _ = why(Tracker("mine", MLflow(kind="mlflow"), tmp_path))
    assert server.asked == [f"Basic {USER_AND_PASSWORD}"]
    assert "BAD: no: Basic …, which is …, for http://…@host/?…" in said


def test_a_client_that_is_not_installed_is_named_with_its_extra(tmp_path, monkeypatch):
    monkeypatch.setattr("resources.tracking.tracker.find_spec", lambda _: None)
    said, _ = why(Tracker("mine", WandB(kind="wandb"), tmp_path))
    assert (
        said
        == "tracking: wandb is not installed here: pip install 'gsr-dagster[wandb]', or leave tracking out of the file"
    )


def test_without_the_name_of_a_server_nothing_is_written_elsewhere(tmp_path, monkeypatch):
    pytest.importorskip("mlflow")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    said, _ = why(Tracker("mine", MLflow(kind="mlflow"), tmp_path))
    assert "no MLflow server is named: write its uri, or set MLFLOW_TRACKING_URI" in said
    assert list(tmp_path.iterdir()) == []
