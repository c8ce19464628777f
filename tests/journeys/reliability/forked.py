"""`gsr` without the seconds in which it imports: a process that has imported everything forks a child a command.

Between its start and its work there is then nothing to be killed in. Torch has computed
nothing before a child is forked; the child works, starts its helpers and ends as `gsr` does.
"""

import importlib
import json
import os
import select
import subprocess
import sys
from pathlib import Path

from tests.places import PROJECT

IMPORTED = ("gsr_dagster.definitions", "transformers.models.llama.modeling_llama", "transformers.models.auto", "peft")


class Child:
    """One `gsr`, the first process of a group of its own; in what is asked of it like subprocess.Popen."""

    def __init__(self, server: subprocess.Popen[bytes], order: dict):
        self._in, self._out = server.stdin, server.stdout
        self._in.write(json.dumps(order).encode() + b"\n")
        self.pid = int(self._out.readline())
        self.returncode: int | None = None

    def poll(self) -> int | None:
        return self._status(0)

    def wait(self, timeout: float | None = None) -> int:
        status = self._status(timeout)
        if status is None:
            raise subprocess.TimeoutExpired("gsr", timeout or 0)
        return status

    def _status(self, timeout: float | None) -> int | None:
        if self.returncode is None and select.select([self._out], [], [], timeout)[0]:
            self.returncode = int(self._out.readline())
        return self.returncode


class Forks:
    """Starts children, one at a time."""

    def __init__(self):
        command = [sys.executable, "-m", __name__]
        self.server = subprocess.Popen(
            command, cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, start_new_session=True
        )
        self.server.stdout.readline()  # it has imported everything

    def start(self, arguments: list[str], environment: dict[str, str], folder: Path, output: Path) -> Child:
        order = {"arguments": arguments, "environment": environment, "folder": str(folder), "output": str(output)}
        return Child(self.server, order)

    def close(self) -> None:
        assert self.server.stdin is not None
        self.server.stdin.close()
        self.server.wait(60)


def serve() -> list[str]:
    """Fork a child for each order, and tell its id and how it ended. Returns in the child, with its arguments."""
    print("ready", flush=True)
    while line := sys.stdin.buffer.readline():
        order = json.loads(line)
        child = os.fork()
        os.setpgid(child, child)  # in both, so that it has happened whoever is first
        if child == 0:
            os.chdir(order["folder"])
            os.environ.clear()
            os.environ.update(order["environment"])
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            output = os.open(order["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(output, 1)
            os.dup2(output, 2)
            return order["arguments"]
        print(child, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
    sys.exit()


if __name__ == "__main__":
    for module in IMPORTED:
        importlib.import_module(module)
    from gsr_dagster.commands.main import main

    main(serve(), "gsr")
