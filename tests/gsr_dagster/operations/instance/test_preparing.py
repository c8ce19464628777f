"""The Dagster instance of a home: made where there is none, brought along where an older version made it."""

import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from gsr_dagster.experiment.errors import UserError
from gsr_dagster.operations.instance.event_log import KeptEventLog
from gsr_dagster.operations.instance.preparing import (
    DAGSTER_YAML,
    FORMER_LAUNCHER,
    LAUNCHER,
    STORAGE,
    prepare_instance,
)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch) -> Path:
    for name in ("DAGSTER_HOME", "GSR_ARTIFACTS", "GSR_CACHE"):
        monkeypatch.setenv(name, "")  # the command sets it: put back after the test
        monkeypatch.delenv(name)
    monkeypatch.setenv("GSR_HOME", str(tmp_path / "home"))
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


def test_settings_that_nobody_changed_become_those_of_this_version_and_others_stay(home):
    prepare_instance()
    settings = home / "dagster" / "dagster.yaml"
    for mine in ("", "# mine\n"):
        former = DAGSTER_YAML.replace(STORAGE, "") + mine
        settings.write_text(former)
        prepare_instance()
        assert settings.read_text() == (former if mine else DAGSTER_YAML)
        with dg.DagsterInstance.get() as instance:
            assert isinstance(instance.event_log_storage, KeptEventLog) == (not mine)


def test_without_a_home_it_is_a_folder_of_the_working_directory_for_every_process(tmp_path, monkeypatch):
    monkeypatch.delenv("GSR_HOME")
    monkeypatch.chdir(tmp_path)
    prepare_instance()
    assert os.environ["GSR_HOME"] == str(tmp_path / ".gsr")


def test_folders_are_named_from_the_root_for_every_process(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    named = {"GSR_HOME": "~/gsr", "DAGSTER_HOME": "dagster", "GSR_ARTIFACTS": "artifacts/", "GSR_CACHE": "~/cache"}
    for name, value in named.items():
        monkeypatch.setenv(name, value)
    prepare_instance()
    assert {name: os.environ[name] for name in named} == {
        "GSR_HOME": str(tmp_path / "me" / "gsr"),
        "DAGSTER_HOME": str(tmp_path / "dagster"),
        "GSR_ARTIFACTS": str(tmp_path / "artifacts"),
        "GSR_CACHE": str(tmp_path / "me" / "cache"),
    }
    with dg.DagsterInstance.get() as instance:
        assert instance.root_directory == str(tmp_path / "dagster")


def test_a_bucket_stays_one_and_what_is_no_folder_is_refused_before_a_home_is_made(home, monkeypatch):
    monkeypatch.setenv("GSR_ARTIFACTS", "gcs://bucket/prefix")
    with pytest.raises(UserError, match="GSR_ARTIFACTS: gcs://bucket/prefix: write it as gs://bucket/prefix"):
        prepare_instance()
    assert not home.exists()
    for root in ("s3://bucket/prefix", "gs://bucket/prefix", "az://container/prefix"):
        monkeypatch.setenv("GSR_ARTIFACTS", f"{root}/")
        prepare_instance()
        assert os.environ["GSR_ARTIFACTS"] == root


PREPARE = """
from gsr_dagster.operations.instance.preparing import prepare_instance
import dagster as dg
prepare_instance()
with dg.DagsterInstance.get() as instance:
    print(instance.get_runs_count(), len(instance.all_instigator_state()), len(instance.get_asset_keys()))
"""


def test_five_processes_that_start_at_once_on_a_home_that_is_not_there_all_open_it(home):
    processes = [
        subprocess.Popen([sys.executable, "-c", PREPARE], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for _ in range(5)
    ]
    said = [process.communicate(timeout=240)[0] for process in processes]
    assert said == ["0 0 0\n"] * 5


def test_a_folder_that_cannot_be_written_but_holds_the_settings_is_used_as_it_is(home, monkeypatch):
    prepare_instance()
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: path != home / "dagster" and access(path, mode))
    monkeypatch.setattr("gsr_dagster.operations.instance.preparing.locked", lambda path: pytest.fail("locked"))
    prepare_instance()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("run_monitorring: {enabled: true}", 'Received unexpected config entry "run_monitorring" at the root.'),
        ("storage: {postgres: {postgres_url: {env: NOT_SET_ANYWHERE}}}", '"NOT_SET_ANYWHERE" which is not set'),
        ("storage: [", "while parsing a flow node"),
        ("storage: {custom: {module: not_installed, class: Storage, config: {}}}", "not_installed"),
    ],
)
def test_an_instance_that_cannot_be_opened_is_named_with_the_reason_alone(tmp_path, monkeypatch, settings, said):
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    (tmp_path / "dagster.yaml").write_text(settings)
    with pytest.raises(UserError) as refused:
        prepare_instance()
    assert str(refused.value).startswith(f"{tmp_path}/dagster.yaml: this Dagster instance cannot be opened: ")
    assert said in str(refused.value)
    assert len(str(refused.value)) < len(str(tmp_path)) + 500
    assert (tmp_path / "dagster.yaml").read_text() == settings
