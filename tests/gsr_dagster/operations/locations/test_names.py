"""One name for an experiment's code location, however it is opened: real code servers, as Dagster starts them."""

import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from dagster._core.remote_representation.external import RemoteSchedule, RemoteSensor
from dagster._core.test_utils import create_test_daemon_workspace_context, instance_for_test
from dagster._core.workspace.load_target import ModuleTarget, WorkspaceFileTarget, WorkspaceLoadTarget

from gsr_dagster.experiment.loading import DEFAULT, experiment_path, load_experiment
from gsr_dagster.operations.locations.origins import job_origin, location_name, name_opened_as
from gsr_dagster.operations.locations.workspace import write_workspace
from tests.places import PROJECT

TARGET = "gsr_dagster.definitions"


@pytest.fixture(autouse=True)
def _own_home(tmp_path, monkeypatch):
    monkeypatch.setenv("GSR_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("GSR_EXPERIMENT", raising=False)


def opened(target: WorkspaceLoadTarget) -> tuple[list[str], set[str], set[str]]:
    """Return the names of the locations of what Dagster loads, its schedules and sensors by their ids, and its jobs."""
    with instance_for_test() as instance, create_test_daemon_workspace_context(target, instance) as context:
        request = context.create_request_context()
        locations = request.code_locations
        repositories = [repository for location in locations for repository in location.get_repositories().values()]
        instigators: list[RemoteSchedule | RemoteSensor] = []
        for repository in repositories:
            instigators += [*repository.get_schedules(), *repository.get_sensors()]
        jobs = {
            job.get_remote_origin().repository_origin.get_label() + " " + job.name
            for repository in repositories
            for job in repository.get_all_jobs()
        }
        return [location.name for location in locations], {each.selector_id for each in instigators}, jobs


def by_page(path: Path) -> WorkspaceLoadTarget:
    return WorkspaceFileTarget([str(write_workspace([(path, load_experiment(path))]))])


def test_the_workspace_of_the_checkout_opens_the_demo_as_gsr_page_does():
    page = opened(by_page(experiment_path(DEFAULT)))
    checkout = opened(WorkspaceFileTarget([str(PROJECT / "workspace.yaml")]))
    assert page == checkout
    names, instigators, jobs = page
    demo = load_experiment(experiment_path(DEFAULT))
    assert names == [location_name(demo)]
    assert len(instigators) > 1
    origin = job_origin(demo, "demo_reports")
    assert f"{origin.repository_origin.get_label()} demo_reports" in jobs


def test_a_workspace_of_ones_own_opens_an_experiment_as_gsr_page_does(recorded_family, tmp_path, monkeypatch):
    page = opened(by_page(recorded_family.path))
    own = tmp_path / "workspace.yaml"
    module = {"module_name": TARGET, "location_name": "recorded"}
    own.write_text(yaml.safe_dump({"load_from": [{"python_module": module}]}))
    monkeypatch.setenv("GSR_EXPERIMENT", str(recorded_family.path))
    names, instigators, jobs = opened(WorkspaceFileTarget([str(own)]))
    assert (names, jobs) == (page[0], page[2])
    assert instigators == page[1]


def test_dg_calls_the_location_as_the_workspace_does():
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]["dg"]["project"]
    (location,) = yaml.safe_load((PROJECT / "workspace.yaml").read_text())["load_from"]
    assert project["code_location_name"] == location["python_module"]["location_name"] == DEFAULT
    assert location["python_module"]["module_name"] == project["code_location_target_module"] == TARGET


@pytest.mark.parametrize(
    ("target", "called"),
    [
        (lambda: ModuleTarget(TARGET, None, str(PROJECT), None), TARGET),
        (lambda: WorkspaceFileTarget([str(PROJECT / "workspace.yaml")]), "demo"),
    ],
    ids=["by the module", "by the demo's workspace"],
)
def test_a_location_of_another_name_says_so_where_it_runs(
    recorded_family, monkeypatch, capfd, target: Callable[[], WorkspaceLoadTarget], called
):
    monkeypatch.setenv("GSR_EXPERIMENT", str(recorded_family.path))
    names, *_ = opened(target())
    assert names == [called]
    said = capfd.readouterr().err
    assert f"This code location is called {called}, and `gsr page` calls that of its experiment recorded." in said
    assert "Open it with `gsr page`, or with a workspace file that says location_name: recorded" in said


def test_a_location_of_the_right_name_says_nothing(recorded_family, capfd):
    opened(by_page(recorded_family.path))
    assert "is called" not in capfd.readouterr().err


def test_what_is_no_code_server_is_not_asked_for_a_name():
    assert name_opened_as(["gsr", "run"]) is None
    assert name_opened_as(["dagster", "--location-name"]) is None
    listed = [sys.executable, "-c", "import gsr_dagster.definitions as d; d.defs(); print('loaded')"]
    done = subprocess.run(listed, cwd=PROJECT, capture_output=True, text=True, timeout=120, check=False)
    assert "is called" not in done.stderr, done.stderr
