"""The tree of commands: how the experiment is named, and what is said where something around it is broken."""

import json

import pytest
from click.testing import CliRunner

from gsr_dagster.commands.main import main

COMMANDS = [["run"], ["report"], ["verify"], ["sql"], ["regrade"], ["lineage", "smollm2-135m-gsr"]]


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("GSR_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home" / "dagster"))
    monkeypatch.setenv("GSR_EXPERIMENT", "demo")


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_a_bucket_that_cannot_be_reached_is_named(monkeypatch, command):
    environment = {
        "GSR_ARTIFACTS": "s3://bucket/prefix",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "AWS_MAX_ATTEMPTS": "1",
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "y",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    result = CliRunner().invoke(main, command)
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == 1
    assert "Error: s3://bucket/prefix: Could not connect to the endpoint URL" in result.output


def test_a_home_that_cannot_be_made_is_named(tmp_path, monkeypatch):
    (tmp_path / "home").write_text("a file")
    result = CliRunner().invoke(main, ["run"])
    assert isinstance(result.exception, SystemExit), result.exception
    assert f"{tmp_path / 'home'}" in result.output


def planned(*arguments: str) -> str:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    return result.output


def test_the_experiment_is_named_before_or_after_the_command_and_the_nearer_name_counts():
    assert (
        planned("plan", "-e", "paper") == planned("-e", "paper", "plan") == planned("-e", "demo", "plan", "-e", "paper")
    )
    assert "qwen2.5-7b-gsr" in planned("plan", "-e", "paper")


@pytest.mark.parametrize("arguments", [["--help"], ["plan", "--help"], ["import", "--help"]])
def test_help_needs_no_experiment(monkeypatch, arguments):
    monkeypatch.setenv("GSR_EXPERIMENT", "no-such-experiment")
    assert "Usage:" in planned(*arguments)


def test_a_command_without_an_experiment_loads_none(monkeypatch, tmp_path):
    monkeypatch.setenv("GSR_EXPERIMENT", "no-such-experiment")
    row = {"problem_id": "1", "problem": "1 + 1?", "answer": "2", "response": "\\boxed{2}"}
    (tmp_path / "rows.jsonl").write_text(json.dumps(row))
    arguments = ["--to", str(tmp_path / "to"), "--model", "a-b", "--parameters", "1", "-k", "1"]
    assert "1 problems, 1 candidates" in planned("import", str(tmp_path / "rows.jsonl"), *arguments)


def test_an_experiment_that_is_not_there_is_one_line():
    result = CliRunner().invoke(main, ["plan", "-e", "no-such-experiment"])
    assert isinstance(result.exception, SystemExit)
    assert result.output.startswith("Error: ")
    assert "no-such-experiment: No such file or directory" in result.output
