"""A Dagster page on a free port of loopback, for as long as a test looks at it."""

import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
# In milliseconds; a page of a busy machine is slow.
PATIENCE = 240_000


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@contextmanager
def served(
    command: Callable[[str], list[str]],
    environment: Mapping[str, str],
    folder: Path | None = None,
    asked: str = "/server_info",
) -> Iterator[str]:
    """Start what the command makes of a port, in a folder; wait until it answers, yield its address, and end it."""
    port, quiet = str(free_port()), subprocess.DEVNULL
    process = subprocess.Popen(command(port), env=environment, cwd=folder, start_new_session=True, stderr=quiet)
    address = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + PATIENCE / 1000
        while time.monotonic() < deadline:
            with suppress(OSError), urllib.request.urlopen(f"{address}{asked}", timeout=5):
                break
            time.sleep(1)
        yield address
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=60)
