"""Local files that are written whole or not at all, folders that go when they are done with, and the cache."""

import errno
import fcntl
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from resources.store.roots import local_path

# What the system says where a disk or a quota is full.
NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
HALF_WRITTEN = ".writing-"
SECONDS_OF_A_DAY = 24 * 3600


class FullDiskError(OSError):
    """A disk or a quota has no room for a path; the message says what to do."""


def cache_folder() -> Path:
    """Return the folder for what can be made or fetched again: $GSR_CACHE, or gsr in the user's cache folder."""
    if named := os.environ.get("GSR_CACHE"):
        return local_path(named)
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "gsr"


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    with written_whole(path) as file:
        file.write(content)


@contextmanager
def written_whole(path: Path) -> Iterator[BinaryIO]:
    """Yield a file that stands at the path once it is written: a temporary name, fsync, rename."""
    with explain_full_disk(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f"{HALF_WRITTEN}{secrets.token_hex(8)}")
        try:
            with temporary.open("xb") as file:  # for whom the umask lets in, as any other file
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


@contextmanager
def explain_full_disk(path: Path) -> Iterator[None]:
    """Say which path has no room, and what to do, where a block fails for it: the system's own error does not.

    Raises FullDiskError; one of a block within this one names its own path, and stays.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in NO_ROOM or isinstance(error, FullDiskError):
            raise
        advice = "make room and run again, what is finished stays"
        raise FullDiskError(error.errno, f"{error.strerror}: {advice}", str(path)) from None


@contextmanager
def scratch_folder(place: Path | None = None) -> Iterator[Path]:
    """Yield a folder under a place, $TMPDIR by default, that goes with the block.

    One that a killed process left there goes once nothing in it was touched for a day.
    """
    place = place or Path(tempfile.gettempdir())
    with explain_full_disk(place):
        place.mkdir(parents=True, exist_ok=True)
        remove_half_written(place.glob(f"{HALF_WRITTEN}*"))
        with tempfile.TemporaryDirectory(dir=place, prefix=HALF_WRITTEN) as scratch:
            yield Path(scratch)


def remove_half_written(paths: Iterable[Path]) -> None:
    """Remove what killed writers left: what a living one writes was touched within a day."""
    for path in paths:
        with suppress(FileNotFoundError, PermissionError):
            touched = max(part.stat().st_mtime for part in (path, *path.rglob("*")))
            if time.time() - touched > SECONDS_OF_A_DAY:
                shutil.rmtree(path) if path.is_dir() else path.unlink()


@contextmanager
def locked(path: Path):
    """Hold a lock between processes for the length of the block."""
    with explain_full_disk(path):
        file = path.open("w")
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
