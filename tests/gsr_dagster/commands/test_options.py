"""Which experiments a command is about: named by -e, before or after it, or by the environment."""

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from gsr_dagster.commands.main import main
from gsr_dagster.commands.options import Named, with_experiments
from gsr_dagster.experiment.loading import experiment_path


@pytest.fixture
def named(monkeypatch, recorded_family):
    """Return what asks a command that takes several experiments for them, and returns their names and files."""

    @click.group()
    @click.option("--experiment", "-e", multiple=True)
    def group(experiment: tuple[str, ...]) -> None:
        pass

    @group.command("page")
    @with_experiments
    def page(experiments: list[Named]) -> None:
        for path, experiment in experiments:
            click.echo(f"{experiment.name} {path}")

    def ask(*arguments: str, environment: str = "") -> list[tuple[str, Path]]:
        monkeypatch.setenv("GSR_EXPERIMENT", environment)
        result = CliRunner().invoke(group, arguments)
        assert result.exit_code == 0, result.output
        return [(line.split(" ", 1)[0], Path(line.split(" ", 1)[1])) for line in result.output.splitlines()]

    return ask


def test_several_are_named_after_the_command_before_it_or_in_the_environment(named, recorded_family):
    mine = str(recorded_family.path)
    both = [("demo", experiment_path("demo")), ("recorded", recorded_family.path)]
    assert named("page", "-e", "demo", "-e", mine) == both
    assert named("-e", "demo", "-e", mine, "page") == both
    for environment in (f"demo,{mine}", f" demo , {mine},", f"demo,{mine},demo"):
        assert named("page", environment=environment) == both
    assert named("page", "-e", mine, environment="demo,teacher") == both[1:]


def test_one_is_named_as_for_any_command_and_without_a_name_it_is_the_demo(named, recorded_family):
    assert named("page", environment=str(recorded_family.path)) == [("recorded", recorded_family.path)]
    assert named("page") == [("demo", experiment_path("demo"))]
    assert named("page", "-e", "demo", "-e", "demo") == [("demo", experiment_path("demo"))]


def test_a_file_may_have_a_comma_in_its_name(named, recorded_family):
    path = recorded_family.folder / "a,b.yaml"
    path.write_text(recorded_family.path.read_text())
    assert named("page", environment=str(path)) == [("recorded", path)]


@pytest.mark.parametrize("before", [("-e", "demo", "-e", "teacher"), ()])
def test_a_command_about_one_experiment_refuses_several(monkeypatch, before):
    monkeypatch.setenv("GSR_EXPERIMENT", "demo,teacher")
    result = CliRunner().invoke(main, [*before, "plan"])
    assert result.exit_code == 2
    assert "demo, teacher: this command is about one experiment, and -e names it" in result.output
