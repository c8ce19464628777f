"""The Dagster instance of a home: made where there is none, brought along where an older version made it."""

import os
from pathlib import Path

import dagster as dg
import pytest

from gsr_dagster.operations.instance import FORMER_LAUNCHER, LAUNCHER, prepare_instance


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("GSR_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DAGSTER_HOME", "")  # the command sets it: put back after the test
    monkeypatch.delenv("DAGSTER_HOME")
    return tmp_path / "home"


def launcher_of(home: Path) -> str:
    prepare_instance()
    assert os.environ["DAGSTER_HOME"] == str(home / "dagster")
    with dg.DagsterInstance.get() as instance:
        return type(instance.run_launcher).__module__


def test_a_home_gets_an_instance_whose_launcher_is_there(home):
    assert launcher_of(home) == LAUNCHER


def test_an_instance_that_an_older_version_made_is_opened_with_the_launcher_of_today(home):
    prepare_instance()
    settings = home / "dagster" / "dagster.yaml"
    settings.write_text(settings.read_text().replace(LAUNCHER, FORMER_LAUNCHER) + "# mine\n")
    assert launcher_of(home) == LAUNCHER
    assert settings.read_text().endswith("# mine\n")


def test_without_a_home_it_is_a_folder_of_the_working_directory_for_every_process(tmp_path, monkeypatch):
    monkeypatch.delenv("GSR_HOME")
    monkeypatch.chdir(tmp_path)
    prepare_instance()
    assert os.environ["GSR_HOME"] == str(tmp_path / ".gsr")
