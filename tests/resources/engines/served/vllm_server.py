"""A real `vllm serve` on loopback, on the CPU."""

import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.journeys.serving import free_port


@contextmanager
def serving(model: Path, name: str, context: int, *options: str) -> Iterator[str]:
    """Serve a model under a name, and yield the address."""
    from resources.engines.vllm import prepare_cpu

    prepare_cpu()
    port = free_port()
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(model), "--port", str(port)]
    command += ["--served-model-name", name, "--host", "127.0.0.1", "--max-model-len", str(context)]
    command += ["--enforce-eager", "--gpu-memory-utilization", "0.3", "--no-enable-chunked-prefill", *options]
    process = subprocess.Popen(command, env=os.environ, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)
    try:
        for _ in range(300):
            assert process.poll() is None, "the server ended"
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2)
                break
            except OSError:
                time.sleep(1)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait(60)
