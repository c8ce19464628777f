"""The finished school as a command finds it: its file, and its artifacts in their place."""

from pathlib import Path

import pytest
import yaml

from tests.school import School


@pytest.fixture
def school(finished_school: School, tmp_path: Path, monkeypatch) -> School:
    monkeypatch.setenv("GSR_EXPERIMENT", "")  # the command sets it: put back after the test
    monkeypatch.setenv("GSR_ARTIFACTS", str(tmp_path / "artifacts"))
    (tmp_path / "school.yaml").write_text(yaml.safe_dump(finished_school.written))
    return finished_school.copy(tmp_path / "artifacts" / "school")
