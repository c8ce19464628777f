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
    address = f"http://127.0.0.1:{port}/v1"
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            assert process.stdout is not None
            said = [process.stdout.readline() for _ in range(2)]
            assert said == ["Loading llama-tiny\n", f"llama-tiny answers at {address} (Ctrl-C ends it)\n"]
            with openai.OpenAI(base_url=address, api_key="none") as client:
                asked = {
                    "model": client.models.list().data[0].id,
                    "messages": [{"role": "user", "content": PROBLEM}],
                    "seed": 1,
                }
                told = client.chat.completions.create(**asked).choices[0].message.content
                pieces = client.chat.completions.create(**asked, stream=True)
                assert "".join(piece.choices[0].delta.content or "" for piece in pieces) == told
            assert "\\boxed{" in told
            process.send_signal(signal.SIGINT)
            last, _ = process.communicate(timeout=60)
        finally:
            process.kill()
    assert last == "The server is stopped.\n"
    assert process.returncode == 0
