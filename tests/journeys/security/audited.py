"""What a command and every Python process it starts really did: programs, connections, files written, code compiled.

A sitecustomize on PYTHONPATH adds an audit hook to each of them, and forks keep it.
"""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

WATCHED = (
    "os.system", "os.exec", "os.posix_spawn", "os.spawn", "pty.spawn", "subprocess.Popen", "webbrowser.open",
    "socket.connect", "socket.sendto", "socket.getaddrinfo", "socket.gethostbyname", "urllib.Request",
    "http.client.connect", "ftplib.connect", "open", "os.remove", "os.rename", "compile", "pickle.find_class",
    "ctypes.dlopen",
)  # fmt: skip

SITECUSTOMIZE = f"""
import os, sys

descriptor = os.open(os.environ["AUDIT_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
reading = os.O_RDONLY | os.O_CLOEXEC

def watch(event, arguments):
    if event not in {WATCHED!r}:
        return
    if event == "open":
        path, mode, flags = arguments
        if not flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            return
        arguments = (os.path.abspath(os.fsdecode(path)) if not isinstance(path, int) else path, mode, flags)
    import json
    os.write(descriptor, (json.dumps([event, *map(repr, arguments)]) + "\\n").encode())

import json
sys.addaudithook(watch)
"""


class Audit:
    """The log of all audited processes."""

    def __init__(self, folder: Path):
        (folder / "sitecustomize.py").write_text(SITECUSTOMIZE)
        self.log = folder / "audit.log"
        self.environment = {
            "AUDIT_LOG": str(self.log),
            "PYTHONPATH": os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]),
        }

    def events(self, *names: str) -> list[list[str]]:
        """Return what was done, of these kinds or of all: each the event's name and the reprs of its arguments."""
        events = [json.loads(line) for line in self.log.read_text().splitlines()]
        return [event for event in events if not names or event[0] in names]


_recording: list[set[str]] = []


def _record(event: str, arguments: tuple) -> None:
    if _recording and event in ("open", "os.mkdir", "os.remove", "os.rmdir", "os.rename", "os.symlink", "os.link"):
        path, *rest = arguments
        if event == "open" and not rest[1] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            return
        if event in ("os.rename", "os.symlink", "os.link"):
            path = rest[0]
        if not isinstance(path, int):
            _recording[-1].add(os.path.abspath(os.fsdecode(path)))


@contextmanager
def written() -> Iterator[set[str]]:
    """Collect the paths that this process opens to write, makes, removes, links or renames to in the block."""
    if not _record.__dict__:  # a hook stays for ever: one is enough
        _record.__dict__["added"] = True
        sys.addaudithook(_record)
    _recording.append(set())
    try:
        yield _recording[-1]
    finally:
        _recording.pop()
