"""gsr serve: what is said where nothing can be served."""

import socket
from pathlib import Path

import pytest
from click.testing import CliRunner

from gsr_dagster.commands.main import main
from tests.school import STUDENT, School


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["llama-studant"], f"no model or student 'llama-studant': did you mean {STUDENT}?"),
        ([STUDENT], f"{STUDENT} is not trained yet: gsr run trains it"),
        (["llama-tiny", "--port", "{taken}"], "port {taken}: Address already in use; name another one with --port"),
        (["llama-tiny", "--host", "192.0.2.1"], "192.0.2.1, port 8000: Cannot assign requested address"),
    ],
)
def test_what_cannot_be_served_is_one_clear_line(school: School, tmp_path: Path, monkeypatch, arguments, says):
    monkeypatch.setattr("gsr_dagster.commands.serving.serve.heed_signals", lambda: None)  # of this process
    (tmp_path / "artifacts" / "school" / "lora_checkpoints" / STUDENT / "manifest.json").unlink()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        asked = [argument.replace("{taken}", port) for argument in arguments]
        result = CliRunner().invoke(main, ["-e", str(tmp_path / "school.yaml"), "serve", *asked])
    assert result.exit_code != 0
    assert says.replace("{taken}", port) in result.output
    assert isinstance(result.exception, SystemExit)
