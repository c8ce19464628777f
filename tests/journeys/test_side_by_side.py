"""`gsr run --jobs N`: real small models side by side, on GPUs that are pretended by CUDA_VISIBLE_DEVICES."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import dagster as dg
import psutil
import pytest
import yaml

from tests.journeys.conftest import experiment_document

GSR = Path(sys.executable).with_name("gsr")
SECONDS = 300


class Twins:
    """An experiment with two models, and a student where one is wanted, in a folder of its own."""

    def __init__(self, folder: Path, model: Path, student: bool = False):
        self.folder, self.path = folder, folder / "twins.yaml"
        self.gpus = [f"{uuid4().hex[:8]}-{number}" for number in range(2)]
        document = experiment_document(model)
        tiny = document["families"]["llama"]["tiny"]
        document["families"]["llama"]["twin"] = {**tiny, "parameters": 6e5}
        if not student:
            del document["students"], document["training_problems"]
        self.document = document
        self.write()

    def write(self) -> None:
        self.path.write_text(yaml.safe_dump(self.document))

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
        with dg.DagsterInstance.from_config(str(self.folder / home / "dagster")) as instance:
            for run in instance.get_runs():
                lines = [entry.user_message for entry in instance.all_logs(run.run_id)]
                said = [line.rpartition(": ")[2] for line in lines if line.startswith("GPUs of this run: ")]
                if said:
                    found.setdefault(run.tags.get("dagster/partition", ""), []).extend(said)
        return found


@pytest.fixture(scope="module")
def twins(tmp_path_factory, small_model) -> Twins:
    """The experiment, run with two jobs."""
    twins = Twins(tmp_path_factory.mktemp("twins"), small_model, student=True)
    status, out, err = twins.run("home", "--jobs", "2")
    assert status == 0, out + err
    twins.printed = out
    return twins


def test_partitions_side_by_side_make_what_one_after_another_makes(twins, tmp_path, small_model):
    alone = Twins(tmp_path, small_model)
    status, out, err = alone.run("home")
    assert status == 0, out + err

    together = twins.manifests("home")
    of_base = {place: made for place, made in alone.manifests("home").items() if "/base/" in place}
    assert len(of_base) == 2 * 8
    assert {place: together[place] for place in of_base} == of_base
    for line in ("base_evaluation sums|llama-tiny", "base_evaluation sums|llama-twin", "teaching llama-student"):
        assert re.search(rf"^{re.escape(line)} +\d+ assets? in \d+ s$", twins.printed, re.MULTILINE)


def test_models_side_by_side_hold_gpus_of_their_own_and_what_comes_after_them_finds_these_free(twins):
    held = twins.held("home")

    assert sorted(held["sums|llama-tiny"] + held["sums|llama-twin"]) == sorted(twins.gpus)
    assert held["llama-student"][0] in twins.gpus


def test_a_second_run_finds_everything_current(twins):
    _, out, _ = twins.run("home", "--jobs", "2")

    assert "Nothing to do" in out


def test_where_one_partition_fails_the_other_ends_and_the_error_names_it(tmp_path, small_model):
    twins = Twins(tmp_path, small_model)
    broken = shutil.copytree(small_model, tmp_path / "broken")
    (broken / "model.safetensors").write_bytes(b"no weights")
    twins.document["families"]["llama"]["twin"]["source"] = f"path:{broken}"
    twins.write()

    status, out, err = twins.run("home", "--jobs", "2")

    assert status == 1
    assert "base_evaluation sums|llama-tiny" in out
    assert "base_evaluation sums|llama-twin failed" in err


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


def test_a_killed_process_is_named_and_what_the_other_made_stays(tmp_path, small_model):
    twins = Twins(tmp_path, small_model)
    process = twins.start("home", "--jobs", "2")
    workers = started_workers(process)
    time.sleep(1)
    workers[0].kill()

    _, err = process.communicate(timeout=SECONDS)

    assert process.returncode == 1
    assert re.search(r"sums\|llama-t\w+: its process was ended by SIGKILL; run again, what was drawn stays", err)
    status, out, _ = twins.run("home", "--jobs", "2")
    assert status == 0
    assert "base_evaluation" in out


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_the_processes_end_with_the_run(tmp_path, small_model, number):
    twins = Twins(tmp_path, small_model)
    process = twins.start("home", "--jobs", "2")
    workers = started_workers(process)

    process.send_signal(number)
    _, err = process.communicate(timeout=SECONDS)

    assert psutil.wait_procs(workers, timeout=60)[1] == []
    if number == signal.SIGINT:
        assert process.returncode == 130
        assert "Stopped. What was finished or drawn stays" in err
