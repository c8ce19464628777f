"""A copy of the finished school, to be rewritten."""

from pathlib import Path

import pytest

from tests.school import School


@pytest.fixture
def school(finished_school: School, tmp_path: Path) -> School:
    return finished_school.copy(tmp_path / "artifacts")
