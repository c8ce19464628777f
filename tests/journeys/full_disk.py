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

from gsr_dagster.cli import main as gsr
from resources.artifacts import ArtifactStore
from tests import school
from tests.journeys.two_writers import small

ROOM = 256 << 20
PAGE = 4096


class Disk:
    """A tmpfs, with what of a run is to lie on it: its artifacts, or its home."""

    def __init__(self, folder: Path, what: str, experiment: Path):
        self.folder = folder / "disk"
        self.experiment = experiment
        self.folder.mkdir(parents=True)
        places = {"artifacts": folder / "home" / "artifacts", "home": folder / "home"}
        places = {name: self.folder if name == what else place for name, place in places.items()}
        home = places["home"]
        artifacts = places["artifacts"] if what == "artifacts" else home / "artifacts"
        self.environment = {"GSR_HOME": home, "GSR_ARTIFACTS": artifacts, "DAGSTER_HOME": home / "dagster"}
        self.store = ArtifactStore(root=f"{artifacts}/school")

    def size(self, size: int, again: str = "") -> None:
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"{again}size={size}", "tmpfs", self.folder], check=True)

    def used(self) -> int:
        at = os.statvfs(self.folder)
        return (at.f_blocks - at.f_bfree) * at.f_frsize

    def run(self) -> dict:
        """Do gsr run in a process of its own, and return how it ended and what stands there."""
        log = self.folder.parent / "log"

        def work() -> None:
            handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(handle, 1)
            os.dup2(handle, 2)
            self.gsr()

        process = multiprocessing.get_context("fork").Process(target=work)
        process.start()
        process.join()
        return {"status": process.exitcode, "told": log.read_text(), **self.state()}

    def gsr(self) -> None:
        with pytest.MonkeyPatch.context() as patch:
            school.play(patch)
            for name, place in self.environment.items():
                patch.setenv(name, str(place))
            gsr(["-e", str(self.experiment), "run"])

    def state(self) -> dict:
        files = [path.relative_to(self.folder).as_posix() for path in self.folder.rglob("*") if path.is_file()]
        return {
            "versions": {str(key): self.store.data_version(key) for key in self.store.published()},
            "damage": [fault for _, fault in self.store.damage()],
            "scraps": [name for name in files if ".writing" in name],
        }


def points(folder: Path, count: int, large: bool) -> Iterator[dict]:
    problems = folder / "problems"
    experiment = folder / "school.yaml"
    if large:
        problems.mkdir()
    written = school.document(problems) if large else small(problems)
    experiment.write_text(yaml.safe_dump(written, sort_keys=False))
    for what, share in (("artifacts", (2 * count + 2) // 3), ("home", count // 3)):
        whole = Disk(folder / what / "whole", what, experiment)
        whole.size(ROOM)
        with pytest.raises(SystemExit, match="0"):
            whole.gsr()  # here, so that the processes to come know the grades
        undisturbed, need = whole.state()["versions"], whole.used()
        for number in range(share):
            disk = Disk(folder / what / str(number), what, experiment)
            size = round(need * (number + 1) / (share + 1)) // PAGE * PAGE
            disk.size(size)
            full = disk.run()
            disk.size(ROOM, "remount,")
            yield {"what": what, "size": size, "full": full, "roomy": disk.run(), "undisturbed": undisturbed}


def main() -> None:
    for point in points(Path(sys.argv[1]), int(sys.argv[2]), bool(int(sys.argv[3]))):
        print(json.dumps(point), flush=True)
