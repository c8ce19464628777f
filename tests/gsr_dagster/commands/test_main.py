"""What the command says where something around it is broken: one line, never a traceback."""

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
