"""The viewer: report.html as a browser gets it, and the link to it on the Dagster page."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from pathlib import Path

import dagster as dg
import pytest
from starlette.testclient import TestClient

from assets.reports.fingerprints import StudentComparison
from gsr_dagster.definitions import build_definitions
from gsr_dagster.experiment.loading import experiment_path, load_experiment
from gsr_dagster.operations.home import artifact_store
from gsr_dagster.operations.serving import listening_on
from gsr_dagster.viewing.app import viewer
from gsr_dagster.viewing.server import viewer_beside
from resources.store.manifests import Recipe
from tests.journeys.serving import free_port

BASE = "http://localhost"
REPORT = "<!doctype html><title>demo</title><p>the gap is −4.2</p>"


@pytest.fixture
def demo(tmp_path, monkeypatch):
    monkeypatch.setenv("GSR_HOME", str(tmp_path / "home"))
    for name in ("GSR_ARTIFACTS", "GSR_VIEW_URL"):
        monkeypatch.delenv(name, raising=False)
    return load_experiment(experiment_path("demo"))


def publish_report(experiment, folder: Path) -> None:
    store, recipe = artifact_store(experiment), Recipe(StudentComparison(experiment).key(), settings={})
    folder.mkdir()
    (folder / "report.html").write_text(REPORT, encoding="utf-8")
    store.publish(recipe, [], {}, store.put_files(recipe, folder))


def test_the_report_is_served_as_it_is_now_and_runs_nothing(demo, tmp_path):
    browser = TestClient(viewer([demo]), BASE)
    missing = browser.get("/demo/report")
    assert missing.status_code == 404
    assert "gsr run" in missing.text
    publish_report(demo, tmp_path / "made")
    made = browser.get("/demo/report")
    assert (made.status_code, made.text) == (200, REPORT)
    assert "default-src 'none'" in made.headers["Content-Security-Policy"]
    assert made.headers["Cache-Control"] == "no-store"


def test_a_damaged_report_is_not_served(demo, tmp_path):
    publish_report(demo, tmp_path / "made")
    (path,) = (tmp_path / "home").rglob("report.html")
    path.write_text("something else")
    damaged = TestClient(viewer([demo]), BASE).get("/demo/report")
    assert damaged.status_code == 404
    assert "something else" not in damaged.text


def test_the_first_page_leads_to_every_report_and_another_name_is_refused_in_words(demo):
    browser = TestClient(viewer([demo]), BASE)
    assert '<a href="/demo/report">' in browser.get("/").text
    refused = browser.get("/<b>mine/report")
    assert refused.status_code == 404
    assert "&lt;b&gt;mine" in refused.text


def test_beside_the_page_the_viewer_takes_the_next_port_or_any_free_one(demo, monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        monkeypatch.setenv("GSR_VIEW_URL", "")
        monkeypatch.delenv("GSR_VIEW_URL")
        with viewer_beside([demo], taken.getsockname()[1]) as address:
            with urllib.request.urlopen(address, timeout=30) as answer:
                assert b"/demo/report" in answer.read()
            assert report_link(demo) == f"{address}/demo/report"
    listening_on(int(address.rpartition(":")[2])).close()  # nothing listens there any more


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_by_a_signal_with_one_line(tmp_path, number):
    port = free_port()
    environment = {**os.environ, "GSR_HOME": str(tmp_path / "home")}
    command = [str(Path(sys.executable).with_name("gsr")), "-e", "demo", "view", "--port", str(port)]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}", timeout=5):
                break
            time.sleep(0.2)
        process.send_signal(number)
        said, _ = process.communicate(timeout=60)
    assert said.splitlines()[-1] == "The viewer is stopped."
    assert "Traceback" not in said
    assert process.returncode == 0


def test_without_a_viewer_the_page_has_no_link_that_leads_nowhere(demo):
    assert report_link(demo) is None


def report_link(experiment) -> str | None:
    graph = build_definitions(experiment).resolve_asset_graph()
    metadata = graph.get(dg.AssetKey(["demo", "student_comparison"])).metadata
    return metadata["report"].value if "report" in metadata else None
