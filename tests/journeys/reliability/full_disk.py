"""gsr run on a disk that fills up: test_full_disk.py starts it, and says what must hold.

main() takes FOLDER POINTS LARGE from the command line, in a mount namespace of its own,
and prints a JSON line a point. A point is a tmpfs of a size that is not enough, with the
artifacts on it or all of $GSR_HOME; then the same with room.
"""

import json
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from gsr_dagster.commands.main import main as gsr
from resources.store.artifacts import ArtifactStore
from tests import school
from tests.journeys.reliability.two_writers import small

ROOM = 256 << 20
PAGE = 4096


class Disk:
    """A folder for a run, with a tmpfs for what is to lie on it: its "artifacts", or its "home" with all of them."""

    def __init__(self, folder: Path, what: str, experiment: Path):
        self.experiment = experiment
        self.log = folder / "log"
        self.home = folder / "home"
        self.artifacts = self.home / "artifacts"
        self.place = self.artifacts if what == "artifacts" else self.home
        self.artifacts.mkdir(parents=True)
        self.store = ArtifactStore(root=f"{self.artifacts}/school")

    def size(self, size: int, again: str = "") -> None:
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"{again}size={size}", "tmpfs", self.place], check=True)

    def run(self) -> dict:
        """Do gsr run in a process of its own, and return how it ended and what stands there."""

        def work() -> None:
            handle = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(handle, 1)
            os.dup2(handle, 2)
            self.gsr()

        process = multiprocessing.get_context("fork").Process(target=work)
        process.start()
        process.join()
        return {"status": process.exitcode, "told": self.log.read_text(), **self.state()}

    def gsr(self) -> None:
        with pytest.MonkeyPatch.context() as patch:
            school.play(patch)
            patch.setenv("GSR_HOME", str(self.home))
            patch.delenv("GSR_ARTIFACTS", raising=False)
            patch.delenv("DAGSTER_HOME", raising=False)
            gsr(["-e", str(self.experiment), "run"])

    def state(self) -> dict:
        files = [path.relative_to(self.home).as_posix() for path in self.home.rglob("*") if path.is_file()]
        return {
            "versions": {str(key): self.store.data_version(key) for key in self.store.verified.published()},
            "damage": [fault for _, fault in self.store.verified.damage()],
            "scraps": [name for name in files if ".writing" in name],
        }


def points(folder: Path, count: int, large: bool) -> Iterator[dict]:
    problems = folder / "problems"
    experiment = folder / "school.yaml"
    if large:
        problems.mkdir()
    written = school.document(problems) if large else small(problems)
    experiment.write_text(yaml.safe_dump(written, sort_keys=False))
    whole = Disk(folder / "whole", "home", experiment)
    with pytest.raises(SystemExit, match="0"):
        whole.gsr()  # here, so that the processes to come know the grades
    undisturbed = whole.state()["versions"]
    for what, share in (("artifacts", (count + 1) // 2), ("home", count // 2)):
        for number in range(share):
            disk = Disk(folder / what / str(number), what, experiment)
            need = pages(getattr(whole, what))
            size = round(need * (number + 1) / (share + 1)) // PAGE * PAGE
            disk.size(size)
            full = disk.run()
            disk.size(ROOM, "remount,")
            yield {"what": what, "size": size, "full": full, "roomy": disk.run(), "undisturbed": undisturbed}


def pages(folder: Path) -> int:
    """Return what the files in a folder take on a tmpfs."""
    return sum(-(-path.stat().st_size // PAGE) * PAGE for path in folder.rglob("*") if path.is_file())


def main() -> None:
    for point in points(Path(sys.argv[1]), int(sys.argv[2]), bool(int(sys.argv[3]))):
        print(json.dumps(point), flush=True)
