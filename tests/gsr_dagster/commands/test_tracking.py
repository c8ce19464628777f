"""What `gsr run` says of tracking, at its door and at its end, and `gsr plan` before."""

from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from gsr_dagster.commands.main import main
from gsr_dagster.experiment.keys import ArtifactKey
from tests.journeys.serving import free_port

REPORT = ArtifactKey("base/gap_reports", "sums|llama-tiny")


@pytest.fixture
def run(school, tmp_path, monkeypatch):
    """Return what runs the school again, with a tracking server that is not there, and without one of its reports."""
    monkeypatch.setenv("GSR_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home" / "dagster"))
    written = {**school.written, "tracking": {"kind": "mlflow", "uri": f"http://127.0.0.1:{free_port()}"}}
    (tmp_path / "school.yaml").write_text(yaml.safe_dump(written))
    (Path(school.store.root) / REPORT.path / "manifest.json").unlink()

    def run(command: str = "run") -> Result:
        result = CliRunner().invoke(main, ["-e", str(tmp_path / "school.yaml"), command])
        assert isinstance(result.exception, SystemExit | None), result.exception
        return result

    return run


def test_what_a_server_did_not_take_is_counted_at_the_end(run, school):
    pytest.importorskip("mlflow")
    result = run()
    assert result.exit_code == 0, result.output
    assert "0 of 1 new trainings and gap reports are tracked with mlflow." in result.output
    assert "Not tracked: the server did not answer (ConnectionError) (1)" in result.output
    assert school.store.manifest(REPORT)
    again = run()
    assert "Nothing to do" in again.output
    assert "tracked" not in again.output


def test_without_the_client_it_is_refused_before_anything_is_made(run, school, monkeypatch):
    monkeypatch.setattr("resources.tracking.tracker.find_spec", lambda _: None)
    result = run()
    assert result.exit_code == 1
    assert "Error: tracking: mlflow is not installed here: pip install 'gsr-dagster[mlflow]'" in result.output
    assert school.store.manifest(REPORT) is None
    planned = run("plan")
    assert planned.exit_code == 0
    assert "tracking: mlflow is not installed here" in planned.output
