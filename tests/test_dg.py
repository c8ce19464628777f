"""Dagster's own command, dg, on this project: it checks, lists and launches."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gsr_dagster.experiment.keys import ArtifactKey
from resources.store.artifacts import ArtifactStore
from tests.places import PROJECT

DG = Path(sys.executable).with_name("dg")
pytestmark = pytest.mark.skipif(not DG.exists(), reason="dagster-dg-cli is not installed: it is in the extra dev")


@pytest.fixture
def dg(recorded_family, tmp_path):
    """Return what runs dg in the project, on the recorded family, and returns what it wrote."""
    own = {
        "GSR_EXPERIMENT": str(recorded_family.path),
        "GSR_HOME": str(tmp_path),
        "DAGSTER_HOME": str(tmp_path),
        "DAGSTER_DISABLE_TELEMETRY": "1",
    }

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [str(DG), *arguments], cwd=PROJECT, env={**os.environ, **own}, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


def test_dg_checks_lists_and_launches(dg, tmp_path):
    assert "All definitions loaded successfully" in dg("check", "defs")
    listed = json.loads(dg("list", "defs", "--json"))
    assert "recorded/base/gap_reports" in {asset["asset_key"] for asset in listed["assets"]}
    assert "recorded_base_evaluation" in {job["name"] for job in listed["jobs"]}
    dg("launch", "--assets", "recorded/benchmark_problems", "--partition", "short")
    store = ArtifactStore(root=str(tmp_path / "artifacts" / "recorded"))
    assert store.existing(ArtifactKey("benchmark_problems", "short")).rows == 3
