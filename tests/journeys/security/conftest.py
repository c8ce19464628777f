"""What a fuzzed command wrote outside the folders that were named."""

from collections.abc import Callable

import pytest


@pytest.fixture
def outside(tmp_path_factory, monkeypatch) -> Callable[[set[str]], set[str]]:
    """What keeps the commands in folders of the test, and tells which of the paths written lie elsewhere."""
    folder = tmp_path_factory.mktemp("fuzz-home")
    for name, value in {"GSR_HOME": "home", "DAGSTER_HOME": "home/dagster", "GSR_CACHE": "cache"}.items():
        monkeypatch.setenv(name, str(folder / value))
    monkeypatch.setenv("GSR_ARTIFACTS", str(folder / "home" / "artifacts"))
    monkeypatch.setenv("GSR_EXPERIMENT", "demo")
    roots = (str(folder.parent), "/dev/", "/tmp/pymp-", "/dev/shm/")
    return lambda paths: {path for path in paths if not path.startswith(roots) and "__pycache__" not in path}
