"""A disk that fills up while gsr run writes: it says so in a line, publishes nothing in part, and goes on when there is room."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.journeys.reliability.full_numbers import times

NAMESPACE = ("unshare", "--user", "--map-root-user", "--mount")


TRAIN = "import sys; from pathlib import Path; from tests.resources.training.test_trainer import train; train(Path(sys.argv[1]), Path(sys.argv[2]))"


def skip_without_mounts(folder: Path) -> None:
    mounting = [*NAMESPACE, "mount", "-t", "tmpfs", "tmpfs", str(folder)]
    try:
        subprocess.run(mounting, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no small disk can be mounted here: {error}")


@pytest.fixture(scope="module")
def points(tmp_path_factory) -> list[dict]:
    """What happened at every point: tests/journeys/full_disk.py."""
    folder = tmp_path_factory.mktemp("full-disk")
    skip_without_mounts(folder)
    count = times(2, 20)
    main = "from tests.journeys.reliability.full_disk import main; main()"
    command = [*NAMESPACE, sys.executable, "-c", main, str(folder), str(count), str(times(0, 1))]
    with (folder / "log").open("w") as log:
        environment = {**os.environ, "GSR_EXPERIMENT": ""}
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=log, text=True, timeout=3000)
    assert done.returncode == 0, Path(folder, "log").read_text()[-3000:]
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"what"')]
    assert len(found) == count
    return found


def test_a_full_disk_ends_the_run_with_what_to_do_and_no_traceback(points):
    for point in points:
        told = point["full"]["told"]
        assert point["full"]["status"] == 1, told
        assert "Traceback" not in told, told
        lines = [line for line in told.splitlines() if "what is finished stays" in line]
        assert lines, told
        if point["what"] == "artifacts":
            # A line an asset: those that need nothing of each other fail side by side.
            assert len({line.partition(":")[0] for line in lines}) == len(lines), told
            assert all("No space left on device: make room and run again" in line for line in lines)
            assert all("/home/artifacts/school/" in line for line in lines), lines
        else:
            assert len(lines) == 1
            assert "make room" in lines[0]


def test_only_what_is_whole_is_published_and_nothing_half_written_stays(points):
    for point in points:
        full = point["full"]
        assert full["damage"] == []
        assert full["scraps"] == []
        assert full["versions"].items() <= point["undisturbed"].items()


def test_with_room_it_goes_on_to_what_an_undisturbed_run_makes(points):
    for point in points:
        assert point["roomy"]["status"] == 0, point["roomy"]["told"]
        assert point["roomy"]["versions"] == point["undisturbed"]
        assert point["roomy"]["damage"] == []


@pytest.mark.parametrize(
    ("room", "said"),
    [("4k", "No space left on device: make room and run again"), ("64k", "the checkpoint needs 0.4 MB and")],
)
def test_no_training_begins_where_its_checkpoint_has_no_room(small_model, tmp_path, room, said):
    skip_without_mounts(tmp_path)
    mounted = [*NAMESPACE, "sh", "-c", f'mount -t tmpfs -o size={room} tmpfs "$0" && exec "$@"', str(tmp_path)]
    train = [sys.executable, "-c", TRAIN, str(small_model), str(tmp_path / "scratch")]
    done = subprocess.run([*mounted, *train], capture_output=True, text=True, timeout=300)
    assert done.returncode == 1
    assert said in done.stderr
    assert "what is finished stays" in done.stderr
