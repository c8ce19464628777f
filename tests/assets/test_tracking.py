"""Trainings and gap reports of a finished experiment, as a tracking server shows them: MLflow, in a file and a real server."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from assets.tracking import NOT_TRACKED, TRACKED
from gsr_dagster.experiment.keys import ArtifactKey
from gsr_dagster.operations.lanes import lanes
from tests import school as written_school
from tests.journeys.serving import free_port
from tests.resources.tracking.mlflow_server import PROGRAM, history_on, mlflow_server, runs_on
from tests.school import STUDENT, School

REPORT = ArtifactKey("base/gap_reports", "sums|llama-tiny")
TRAINING = ArtifactKey("lora_checkpoints", STUDENT)


@pytest.fixture(scope="module")
def started_server(tmp_path_factory) -> Iterator[str]:
    if PROGRAM not in os.environ:
        pytest.skip("no MLflow server is installed: make test-tracking")
    with mlflow_server(tmp_path_factory.mktemp("mlflow")) as address:
        yield address


@pytest.fixture
def server(started_server, monkeypatch) -> str:
    """The address of a real server, which is waited for: a machine that others share is slow."""
    monkeypatch.setattr("resources.tracking.tracker.SECONDS", 120)
    return started_server


def made_again(school: School, key: ArtifactKey) -> dict:
    """Make an artifact whose manifest is gone, and return what the page shows of it."""
    (Path(school.store.root) / key.path / "manifest.json").unlink()
    result = school.run(key.asset, key.partition)
    assert result.success
    (made,) = [one for one in result.all_events if one.is_step_materialization]
    return made.materialization.metadata


def test_tracking_changes_no_artifact(school, tmp_path):
    tracked = school.copy(tmp_path / "tracked", tracking={"kind": "mlflow", "uri": "http://127.0.0.1:1"})
    for lane in lanes(tracked.experiment):
        assert [lane.stale(tracked.store, partition) for partition in lane.partitions] == [[]] * len(lane.partitions)


def test_a_server_that_is_not_there_fails_no_run(school, tmp_path, capfd):
    pytest.importorskip("mlflow")
    tracked = school.copy(tmp_path / "tracked", tracking={"kind": "mlflow", "uri": f"http://127.0.0.1:{free_port()}"})
    shown = made_again(tracked, REPORT)
    assert shown[NOT_TRACKED].value == "the server did not answer (ConnectionError)"
    assert TRACKED not in shown
    assert f"{REPORT} is made, and not tracked: the server did not answer" in capfd.readouterr().err
    assert tracked.store.existing(REPORT).summary == school.store.existing(REPORT).summary


def test_a_gap_report_has_the_scores_of_the_table_and_is_sent_once(school, tmp_path, server, monkeypatch):
    monkeypatch.setenv("GSR_PAGE_URL", "http://page.example:3000/")
    tracked = school.copy(tmp_path / "tracked", tracking={"kind": "mlflow", "uri": server, "experiment": "reports"})
    shown = made_again(tracked, REPORT)
    (run,) = runs_on(server, "reports")
    assert shown[TRACKED].value.endswith(f"/runs/{run['id']}")
    assert (run["name"], run["status"]) == (str(REPORT), "FINISHED")
    intervals = tracked.store.existing(REPORT).summary["intervals"]
    for score, name in {"pass_at_1": "pass_at_1", "maj_at_k": "maj_at_2", "refinement_gap": "gap"}.items():
        bounds = {name: "estimate", f"{name}_low": "low", f"{name}_high": "high"}
        assert {bound: run["metrics"][bound] for bound in bounds} == pytest.approx(
            {bound: 100 * intervals[score][part] for bound, part in bounds.items()}
        )
    assert (
        run["params"].items()
        >= {"benchmark": "sums", "model": "llama-tiny", "k": "2", "direct.temperature": "0.7"}.items()
    )
    manifest = tracked.store.existing(REPORT)
    assert run["tags"]["gsr.data_version"] == manifest.data_version
    assert run["tags"]["gsr.artifact"] == str(Path(tracked.store.root) / REPORT.path / manifest.fingerprint)
    assert run["tags"]["dagster.run"] == f"http://page.example:3000/runs/{run['tags']['dagster.run_id']}"
    assert f"<{run['tags']['dagster.run']}>" in run["tags"]["mlflow.note.content"]
    assert made_again(tracked, REPORT)[TRACKED].value == shown[TRACKED].value
    assert len(runs_on(server, "reports")) == 1


def test_a_training_has_its_curve_by_step(school, tmp_path, server, monkeypatch):
    written_school.play(monkeypatch)
    monkeypatch.setattr("resources.engines.loading._loaded", {})
    tracked = school.copy(tmp_path / "tracked", tracking={"kind": "mlflow", "uri": server, "experiment": "trainings"})
    made_again(tracked, TRAINING)
    (run,) = runs_on(server, "trainings")
    assert history_on(server, run["id"], "loss") == [(1, 2.0), (2, 1.5), (3, 1.2), (4, 1.1)]
    assert run["metrics"]["last_loss"] == 1.1
    assert run["params"].items() >= {"base": "llama-tiny", "teacher": "llama-big", "training.batch_size": "128"}.items()
    assert Path(run["tags"]["gsr.artifact"], "adapter_model.safetensors").is_file()


def test_what_is_there_already_is_not_sent(school, tmp_path, server):
    tracked = school.copy(tmp_path / "tracked", tracking={"kind": "mlflow", "uri": server, "experiment": "before"})
    assert tracked.run(REPORT.asset, REPORT.partition).success
    tracked.rewrite("training_sets", STUDENT, note="made again")  # the checkpoint is taken over, nothing is trained
    assert tracked.run(TRAINING.asset, TRAINING.partition).success
    with pytest.raises(Exception, match="404"):
        runs_on(server, "before")
