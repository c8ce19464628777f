"""An experiment that was run, for the pages to show."""

import pytest

from tests.school import School


@pytest.fixture(scope="package")
def school(finished_school: School, tmp_path_factory: pytest.TempPathFactory) -> School:
    """The finished school, in the place where a home has its artifacts."""
    return finished_school.copy(tmp_path_factory.mktemp("home") / "artifacts" / "school")
