"""What a command costs, with all that it starts: seconds of the wall and of the CPU, and memory.

CPU seconds are those of the command and all that it started. Memory is what is resident, looked at ten times a second:
of the largest process, and of all together, in which the pages that processes share count in each of them. A command
that leaves the machine less than LEAST_LEFT is ended. This is for Linux.
"""

import ctypes
import os
import resource
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

SECONDS_BETWEEN_LOOKS = 0.1
SECONDS_FOR_ORPHANS = 30
LEAST_LEFT = 1 << 30
SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER of prctl(2)


@dataclass(frozen=True)
class Cost:
    """What a process took, with all that it started; memory in bytes. ``status`` is its exit status."""

    seconds: float
    cpu: float
    largest: int
    together: int
    status: int


def measured(command: Sequence[str | Path], folder: Path, environment: Mapping[str, str], log: Path) -> Cost:
    """Run a command in a folder and return what it cost; what it prints goes into a file."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    largest = together = 0
    with log.open("w") as output, _taking_in_orphans():
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT)
        while not _ended(process):
            sizes = [0]
            for child in psutil.Process().children(recursive=True):
                with suppress(psutil.NoSuchProcess):
                    sizes.append(child.memory_info().rss)
            largest, together = max(largest, *sizes), max(together, sum(sizes))
            if psutil.virtual_memory().available < LEAST_LEFT:
                output.write(f"\nEnded: less than {LEAST_LEFT / 1e9:.1f} GB of memory was left.\n")
                _end_children()
        seconds = time.perf_counter() - started
        _wait_for_orphans()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(seconds, cpu, largest, together, process.returncode)


def _ended(process: subprocess.Popen[bytes]) -> bool:
    """Wait a moment, and return whether a process has ended."""
    with suppress(subprocess.TimeoutExpired):
        process.wait(SECONDS_BETWEEN_LOOKS)
    return process.returncode is not None


def _wait_for_orphans() -> None:
    """Wait for what an ended process leaves behind, as the server of the grading processes, so that its CPU counts."""
    until = time.monotonic() + SECONDS_FOR_ORPHANS
    with suppress(ChildProcessError):  # there are none left
        while time.monotonic() < until:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                time.sleep(SECONDS_BETWEEN_LOOKS)


@contextmanager
def _taking_in_orphans() -> Iterator[None]:
    """Take in what a command leaves behind, and end what is still there in the end, as after Ctrl-C."""
    ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0)
    try:
        yield
    finally:
        _end_children()


def _end_children() -> None:
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            child.kill()
