"""The workspace that a page loads: a code location for each of its experiments."""

import runpy
from pathlib import Path

import pytest
import yaml

from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.experiment.loading import experiment_path, load_experiment
from gsr_dagster.operations.locations.workspace import WorkspaceError, write_workspace


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("GSR_HOME", str(tmp_path / "a home"))
    return tmp_path / "a home"


def named(path: Path) -> tuple[Path, Experiment]:
    return path, load_experiment(path)


def locations(*paths: Path) -> dict[str, dict[str, str]]:
    """Return the workspace's locations by their names."""
    workspace = yaml.safe_load(write_workspace([named(path) for path in paths]).read_text())
    return {location["python_file"]["location_name"]: location["python_file"] for location in workspace["load_from"]}


def test_each_experiment_is_a_location_by_its_name_that_loads_its_own_file(home, recorded_family):
    written = locations(experiment_path("demo"), recorded_family.path)
    assert list(written) == ["demo", "recorded"]
    sensors = {}
    for name, location in written.items():
        assert location["working_directory"] == str(home)
        definitions = runpy.run_path(location["relative_path"])["defs"]
        keys = definitions.resolve_asset_graph().get_all_asset_keys()
        assert {key.path[0] for key in keys} == {name}
        sensors[name] = [sensor.name for sensor in definitions.sensors]
    # Alerts are of all code locations: two that send them would send each twice.
    assert any("alerts_to" in name for name in sensors["demo"])
    assert sensors["recorded"] == ["recorded_refresh_what_is_stale"]


@pytest.mark.parametrize("folder", ["with 'quotes'", 'with "quotes"', "with {braces} and \\"])
def test_an_experiments_path_may_hold_what_python_and_format_read(recorded_family, tmp_path, folder):
    (tmp_path / folder).mkdir()
    path = tmp_path / folder / "experiment.yaml"
    path.write_text(recorded_family.path.read_text())
    (location,) = locations(path).values()
    assert repr(str(path)) in Path(location["relative_path"]).read_text()
    compile(Path(location["relative_path"]).read_text(), "location", "exec")


def test_two_experiments_of_one_name_are_refused_with_both_files(recorded_family, tmp_path):
    other = tmp_path / "other.yaml"
    other.write_text(recorded_family.path.read_text())
    with pytest.raises(WorkspaceError, match="both have the name recorded") as refused:
        write_workspace([named(recorded_family.path), named(other)])
    assert str(recorded_family.path) in str(refused.value)
    assert str(other) in str(refused.value)
