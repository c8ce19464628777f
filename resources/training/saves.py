"""Saved steps of a training: a folder each, whole or not at all, from which a killed training goes on.

    <cache>/training/<fingerprint of the checkpoint>/step-<number>/...
    <cache>/training/<fingerprint of the checkpoint>/step-<number>/SHA256SUMS

They lie on the machine that trains, and the run that finds them is any later one of the same
recipe. On another machine a training starts anew. A new save is written beside the old one and
renamed, then the old one goes: two at most stand there. All of them go once the checkpoint is an
artifact, and those that nobody came back to after SECONDS_KEPT.
"""

import fcntl
import logging
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from resources.store.files import HALF_WRITTEN, cache_folder
from resources.store.hashes import HASHES, sha256_of_file

STEP = "step-"
LOCK = "lock"
SECONDS_TO_WAIT = 20  # for a training process to follow its run that was killed
SECONDS_KEPT = 30 * 24 * 3600

log = logging.getLogger(__name__)


class Saves:
    """The saved steps of one training, in a folder."""

    def __init__(self, folder: Path):
        self.folder = folder

    def newest(self) -> Path | None:
        """Return the newest save that is whole, None where there is none. A damaged one is removed, and said."""
        for step in sorted(self._steps(), key=step_of, reverse=True):
            fault = _fault(step)
            if fault is None:
                return step
            log.warning("%s: %s. It is not used.", step, fault)
            shutil.rmtree(step, ignore_errors=True)
        return None

    def being_written(self, step: int) -> Path:
        """Return the folder in which a step is written, before it is whole."""
        return self.folder / f"{HALF_WRITTEN}{step}"

    def begin(self, save: Path | None) -> None:
        """Remove all but the save that a training goes on from: what was half-written, and what a kill left to remove."""
        for path in (*self._steps(), *self.folder.glob(f"{HALF_WRITTEN}*")):
            if path != save:
                shutil.rmtree(path, ignore_errors=True)

    def finish(self, step: int, written: Path) -> None:
        """Make a written folder the save of a step, and remove those before it."""
        files = sorted(path for path in written.rglob("*") if path.is_file())
        lines = [f"{sha256_of_file(path)}  {path.relative_to(written)}\n" for path in files]
        (written / HASHES).write_text("".join(lines))
        for path in (*files, written / HASHES):
            with path.open("rb") as file:
                os.fsync(file.fileno())
        before = self._steps()
        written.rename(self.folder / f"{STEP}{step}")
        for path in before:
            shutil.rmtree(path, ignore_errors=True)

    def remove(self) -> None:
        """Remove every save: the checkpoint is there, or they are of no use."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _steps(self) -> list[Path]:
        return list(self.folder.glob(f"{STEP}*"))


def step_of(save: Path) -> int:
    """Return the step that a save is of."""
    return int(save.name.removeprefix(STEP))


def saves_of(fingerprint: str) -> Saves:
    """Return the saves of the training of one checkpoint, by its recipe's fingerprint, on this machine."""
    return Saves(cache_folder() / "training" / fingerprint)


@contextmanager
def reserved(saves: Saves, instead: Path) -> Iterator[tuple[Saves, int | None]]:
    """Yield the saves for one training alone, with the open lock that its process holds too.

    The lock ends with the last process that has it open, so that a run never reads what the
    training of a killed run still writes. Where another run trains the same student now, this
    one saves in the folder ``instead``, with no lock.
    """
    _sweep(saves.folder.parent)
    saves.folder.mkdir(parents=True, exist_ok=True)
    with (saves.folder / LOCK).open("w") as lock:
        if not _locked(lock):
            log.info("another run trains this student now: this one starts anew, beside it")
            instead.mkdir(parents=True, exist_ok=True)
            yield Saves(instead), None
            return
        yield saves, lock.fileno()


def _locked(lock: IO[str]) -> bool:
    """Return whether the lock is ours, within SECONDS_TO_WAIT."""
    end = time.monotonic() + SECONDS_TO_WAIT
    while True:
        with suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        if time.monotonic() > end:
            return False
        time.sleep(0.1)


def _sweep(place: Path) -> None:
    """Remove saves that no run came back to: the experiment has changed since."""
    for folder in place.glob("*"):
        with suppress(OSError):
            if time.time() - max(path.stat().st_mtime for path in (folder, *folder.iterdir())) > SECONDS_KEPT:
                shutil.rmtree(folder)


def _fault(step: Path) -> str | None:
    """Return what is wrong with a save, None where it is what was written."""
    try:
        lines = (step / HASHES).read_text(encoding="utf-8").splitlines()
        recorded = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
        found = {
            str(path.relative_to(step)): sha256_of_file(path)
            for path in step.rglob("*")
            if path.is_file() and path.name != HASHES
        }
    except (OSError, UnicodeDecodeError) as error:
        return f"it cannot be read: {error}"
    changed = sorted({name for name, _ in recorded.items() ^ found.items()})
    return f"{HASHES} does not hold for {', '.join(changed)}" if changed else None
