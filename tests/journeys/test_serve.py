"""`gsr serve` as a user has it: started, asked by the official client, and ended by a signal with a sentence."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import yaml

from tests.journeys.conftest import experiment_document
from tests.journeys.serving import free_port

PROBLEM = "State the final answer to the following arithmetic problem: 4 + 3 ="


def test_a_model_is_served_asked_and_ended(small_model, tmp_path):
    import openai

    document = experiment_document(small_model)
    path, port = tmp_path / "small.yaml", free_port()
    path.write_text(
        yaml.safe_dump({name: document[name] for name in ("name", "k", "families", "benchmarks", "evaluation")})
    )
    command = [str(Path(sys.executable).with_name("gsr")), "-e", str(path), "serve", "llama-tiny", "--port", str(port)]
    environment = {**os.environ, "GSR_HOME": str(tmp_path / "home"), "COLUMNS": "160"}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == f"llama-tiny answers at http://127.0.0.1:{port}/v1 (Ctrl-C ends it)\n"
        with openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="none") as client:
            asked = {
                "model": client.models.list().data[0].id,
                "messages": [{"role": "user", "content": PROBLEM}],
                "seed": 1,
            }
            told = client.chat.completions.create(**asked, extra_body={"k": 2})
            pieces = client.chat.completions.create(**asked, extra_body={"k": 2}, stream=True)
            assert "".join(piece.choices[0].delta.content or "" for piece in pieces) == told.choices[0].message.content
        assert "\\boxed{" in told.choices[0].message.content
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=60)
    assert said == "The server is stopped.\n"
    assert process.returncode == 0
