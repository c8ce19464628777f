"""The GPUs of this machine, each held by one process at a time.

    want(2)   # what this run will ask for at once, at most
    hold(1)   # before the first model is loaded: from here on CUDA_VISIBLE_DEVICES is "2,5"

A GPU is held by a socket with its UUID for a name, which no other process of the machine can bind. The
system gives the name back when the last process that has it open ends, however it ends. CUDA reads the
variable once, so a process holds its GPUs until it ends, and takes them all at once: two that hold
some and wait for more would wait for ever.
"""

import errno
import logging
import os
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from gsr_dagster.experiment.errors import UserError
from resources.store.hashes import sha256

VISIBLE = "CUDA_VISIBLE_DEVICES"
SECONDS_BETWEEN_TRIES = 0.5
SECONDS_BETWEEN_LINES = 30

Found = TypeVar("Found")

log = logging.getLogger(__name__)

_wanted = 0
_held: dict[str, socket.socket] = {}


class GPUError(UserError, RuntimeError):
    """More GPUs are asked for than there are."""


def visible() -> list[str]:
    """Return the names of the GPUs that this process may use, as in CUDA_VISIBLE_DEVICES; none on a CPU.

    They are those of the variable where it is set, as a cluster's scheduler does, else all of the machine.
    """
    named = os.environ.get(VISIBLE)
    if named is not None:
        names = [name.strip() for name in named.split(",") if name.strip()]
        return names[: names.index("-1")] if "-1" in names else names
    try:
        import torch
    except ModuleNotFoundError:  # an installation that samples from servers only
        return []
    return [str(number) for number in range(torch.cuda.device_count())]


def want(count: int) -> None:
    """Say how many GPUs this process will hold from its first model on; the most that was said counts."""
    global _wanted
    _wanted = max(_wanted, count)


def hold(least: int) -> None:
    """Take the GPUs that were wanted, unless this process has them, and wait until so many are free.

    Nothing is taken on a CPU, and where nothing was wanted: then all that are visible can be used.
    ``least`` is what the model asks for that is loaded next. Raises GPUError where there are not so many.
    """
    if _held or not _wanted or not least or not (names := visible()):
        return
    if least > len(names):
        raise GPUError(f"{least} GPUs are asked for at once, and this machine has {len(names)}: see {VISIBLE}")
    wanted = min(max(_wanted, least), len(names))
    known = dict(zip(names, uuids(names), strict=True))
    # One process at a time waits for the same GPUs, so that one which needs many gets them.
    turn = f"turn {sha256(','.join(known.values()).encode())[:16]}"
    with _tried(lambda: _bound(turn), f"waiting for {wanted} GPUs, behind another run that waits"):
        taken = _tried(lambda: _take(known, wanted), f"waiting until {wanted} of {len(names)} GPUs are free")
    _held.update(taken)
    os.environ[VISIBLE] = ",".join(taken)
    log.info("GPUs of this run: %s", os.environ[VISIBLE])


def held() -> list[int]:
    """Return the open files that hold this process's GPUs: a process that has them too holds the GPUs until it ends."""
    return [lock.fileno() for lock in _held.values()]


def uuids(names: Sequence[str]) -> list[str]:
    """Return the UUIDs of GPUs, by their names: two jobs of a scheduler may each call a different GPU "0".

    A name stays as it is where NVIDIA's driver does not know it, as that of a part of a GPU (MIG), or is missing.
    """
    command = ["nvidia-smi", "--query-gpu=index,uuid", "--format=csv,noheader"]
    try:
        told = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return list(names)
    known = [tuple(part.strip() for part in line.split(",")) for line in told.splitlines() if "," in line]
    return [
        next((uuid for index, uuid in known if name == index or (len(name) > 4 and uuid.startswith(name))), name)
        for name in names
    ]


def _take(names: Mapping[str, str], count: int) -> dict[str, socket.socket]:
    """Return so many GPUs, each with what holds it; none where not so many are free. ``names`` have their UUIDs."""
    taken: dict[str, socket.socket] = {}
    for name, uuid in names.items():
        if len(taken) < count and (lock := _bound(f"GPU {uuid}")):
            taken[name] = lock
    if len(taken) == count:
        return taken
    for lock in taken.values():
        lock.close()
    return {}


def _tried(look: Callable[[], Found | None], waiting: str) -> Found:
    """Return what is found once something is, and say now and then what is waited for."""
    last_line = -float("inf")
    while not (found := look()):
        if time.monotonic() - last_line > SECONDS_BETWEEN_LINES:
            log.info("%s", waiting)
            last_line = time.monotonic()
        time.sleep(SECONDS_BETWEEN_TRIES)
    return found


def _bound(name: str) -> socket.socket | None:
    """Return a socket with a name that no other process of this machine has, None where one has it."""
    lock = socket.socket(socket.AF_UNIX)
    try:
        lock.bind(f"\0gsr_dagster {name}")  # the 0 makes it a name of Linux's, with no file
    except OSError as error:
        lock.close()
        if error.errno != errno.EADDRINUSE:
            raise
        return None
    return lock
