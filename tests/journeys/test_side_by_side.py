"""`gsr run --jobs N`: models side by side, real ones on GPUs that are pretended by CUDA_VISIBLE_DEVICES."""

import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import psutil
import pytest
import yaml

from tests.journeys.conftest import experiment_document
from tests.running import instance_in

GSR = Path(sys.executable).with_name("gsr")
SECONDS = 300


class SideBySide:
    """An experiment in a folder of its own, run with GPUs that no other process knows."""

    printed = ""

    def __init__(self, folder: Path, document: dict):
        self.folder, self.path = folder, folder / "experiment.yaml"
        self.gpus = [f"{uuid4().hex[:8]}-{number}" for number in range(2)]
        self.path.write_text(yaml.safe_dump(document))

    def start(self, home: str, *arguments: str) -> subprocess.Popen:
        kept = {name: value for name, value in os.environ.items() if name not in ("DAGSTER_HOME", "GSR_ARTIFACTS")}
        environment = {**kept, "GSR_HOME": str(self.folder / home), "CUDA_VISIBLE_DEVICES": ",".join(self.gpus)}
        command = [str(GSR), "-e", str(self.path), "run", *arguments]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, env=environment, cwd=self.folder, stdout=pipe, stderr=pipe, text=True)

    def run(self, home: str, *arguments: str) -> tuple[int, str, str]:
        process = self.start(home, *arguments)
        out, err = process.communicate(timeout=SECONDS)
        return process.returncode, out, err

    def manifests(self, home: str) -> dict[str, str]:
        """Return the content of every artifact, by its place."""
        root = self.folder / home / "artifacts"
        return {str(path.relative_to(root)): path.read_text() for path in root.rglob("manifest.json")}

    def held(self, home: str) -> dict[str, list[str]]:
        """Return the GPUs that the runs of each partition held."""
        found: dict[str, list[str]] = {}
        with instance_in(self.folder / home / "dagster") as instance:
            for run in instance.get_runs():
                lines = [entry.user_message for entry in instance.all_logs(run.run_id)]
                said = [line.rpartition(": ")[2] for line in lines if line.startswith("GPUs of this run: ")]
                if said:
                    found.setdefault(run.tags.get("dagster/partition", ""), []).extend(said)
        return found


def two_models(model: Path, student: bool) -> dict:
    """Return an experiment of two real models, and a student of one where it is wanted."""
    document = experiment_document(model)
    document["families"]["llama"]["twin"] = {**document["families"]["llama"]["tiny"], "parameters": 6e5}
    if not student:
        del document["students"], document["training_problems"]
    return document


@pytest.fixture(scope="module")
def twins(tmp_path_factory, small_model) -> SideBySide:
    """Two real models and a student, run with two jobs."""
    twins = SideBySide(tmp_path_factory.mktemp("twins"), two_models(small_model, student=True))
    status, twins.printed, err = twins.run("home", "--jobs", "2")
    assert status == 0, twins.printed + err
    return twins


@pytest.fixture
def recorded(recorded_family) -> SideBySide:
    """Two models whose samples are recorded."""
    document = yaml.safe_load(recorded_family.path.read_text())
    del document["families"]["llama"]
    return SideBySide(recorded_family.folder, document)


def test_partitions_side_by_side_make_what_one_after_another_makes(twins, tmp_path, small_model):
    alone = SideBySide(tmp_path, two_models(small_model, student=False))
    status, out, err = alone.run("home")
    assert status == 0, out + err

    together = twins.manifests("home")
    of_base = {place: made for place, made in alone.manifests("home").items() if "/base/" in place}
    assert len(of_base) == 2 * 8
    assert {place: together[place] for place in of_base} == of_base
    for line in ("base_evaluation sums|llama-tiny", "base_evaluation sums|llama-twin", "teaching llama-student"):
        assert re.search(rf"^{re.escape(line)} +\d+ assets? in \d+ s$", twins.printed, re.MULTILINE)


def test_every_run_that_loads_a_model_holds_a_gpu_which_is_free_again_for_those_after_it(twins):
    """Which one, and that no two have one at once, is tested in tests/resources/test_gpus.py."""
    held = twins.held("home")

    assert set(held) == {"sums|llama-tiny", "sums|llama-twin", "llama-student", "sums|llama-student"}
    assert all(len(gpus) == 1 and set(gpus) <= set(twins.gpus) for gpus in held.values())


def test_where_one_partition_fails_the_other_ends_and_the_error_names_it(recorded, recorded_family):
    recorded_family.record("14b", samples=4, problems=2)

    status, out, err = recorded.run("home", "--jobs", "2")

    assert status == 1
    done = re.findall(r"^base_evaluation (\S+)", out, re.MULTILINE)
    assert {"short|qwen2.5-7b", "long|qwen2.5-7b"} <= set(done)
    assert re.search(r"base_evaluation \w+\|qwen2.5-14b failed", err)


def is_worker(process: psutil.Process) -> bool:
    with suppress(psutil.Error):  # it has ended meanwhile
        return "spawn_main" in " ".join(process.cmdline())
    return False


def started_workers(process: subprocess.Popen) -> list[psutil.Process]:
    """Wait until the run's two processes are at work, and return them."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        workers = [child for child in psutil.Process(process.pid).children() if is_worker(child)]
        if len(workers) == 2:
            return workers
        time.sleep(0.1)
    raise AssertionError("no two processes were started")


def test_a_killed_process_is_named_and_the_next_run_goes_on(recorded):
    process = recorded.start("home", "--jobs", "2")
    started_workers(process)[0].kill()

    _, err = process.communicate(timeout=SECONDS)

    assert process.returncode == 1
    assert re.search(r"(long|short): its process was ended by SIGKILL; run again, what was drawn stays", err)
    assert recorded.run("home", "--jobs", "2")[0] == 0
    assert "Nothing to do" in recorded.run("home", "--jobs", "2")[1]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_the_processes_end_with_the_run(recorded, number):
    process = recorded.start("home", "--jobs", "2")
    workers = started_workers(process)

    process.send_signal(number)
    _, err = process.communicate(timeout=SECONDS)

    assert psutil.wait_procs(workers, timeout=60)[1] == []
    if number == signal.SIGINT:
        assert process.returncode == 130
        assert "Stopped. What was finished or drawn stays" in err
