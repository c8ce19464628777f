"""A family's backfill with a real page and daemon on loopback: one model fails alone, and a relaunch does what is missing."""

import os
import signal
import socket
import subprocess
import sys
import time
from itertools import pairwise

import pytest

from gsr_dagster.backfilling import BackfillError, Page, evaluation_lane, to_launch
from gsr_dagster.definitions import build_definitions
from gsr_dagster.experiment import load_experiment

SECONDS_TO_START = 90
BY_PARTITION = """query {
  runsOrError(filter: {tags: [{key: "gsr/family", value: "qwen2.5"}]}) {
    ... on Runs { results { jobName status startTime endTime tags { key value } } }
  }
}"""


class Served:
    """The recorded family, its page and the command, as a user has them."""

    def __init__(self, family, folder):
        self.family = family
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.page = Page(f"http://127.0.0.1:{free.getsockname()[1]}")
        own = {"GSR_HOME": str(folder / "home"), "GSR_EXPERIMENT": str(family.path), "COLUMNS": "160"}
        self.environment = {name: value for name, value in {**os.environ, **own}.items() if name != "DAGSTER_HOME"}
        self.log = folder / "page.log"

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-c", "from gsr_dagster.cli import main; main()", *arguments]

    def backfill(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = self.command("backfill", "--family", "qwen2.5", "--page", self.page.address, *arguments)
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=180)

    def start(self) -> subprocess.Popen[bytes]:
        command = self.command("page", "--port", self.page.address.rpartition(":")[2])
        with self.log.open("w") as log:
            return subprocess.Popen(command, env=self.environment, stdout=log, stderr=log, start_new_session=True)

    def wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + SECONDS_TO_START
        while True:
            try:
                self.page.repository(load_experiment(self.family.path), "base_evaluation")
                return
            except BackfillError:
                if time.monotonic() > deadline:
                    raise AssertionError(self.log.read_text()[-3000:]) from None
                time.sleep(1)


@pytest.fixture
def served(recorded_family, tmp_path, monkeypatch):
    served = Served(recorded_family, tmp_path)
    monkeypatch.setenv("GSR_HOME", served.environment["GSR_HOME"])
    job = build_definitions(load_experiment(recorded_family.path)).resolve_job_def("benchmarks")
    for benchmark in recorded_family.benchmarks:
        assert job.execute_in_process(partition_key=benchmark).success
    process = served.start()
    yield served
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)


def test_one_model_fails_alone_and_a_relaunch_does_only_what_is_missing(served):
    served.family.record("14b", samples=2)  # two of the four that are wanted
    served.wait_until_it_answers()
    first = served.backfill("--wait")
    assert first.returncode == 1, first.stdout + first.stderr
    assert "2 of 4 partitions failed" in first.stderr
    ended = dict(line.split() for line in first.stdout.splitlines() if "|" in line)
    assert ended == {
        f"{benchmark}|qwen2.5-{model}": "success" if model == "7b" else "failure"
        for model in served.family.models
        for benchmark in served.family.benchmarks
    }
    served.family.record("14b", samples=4)
    second = served.backfill("--only-missing", "--wait")
    assert second.returncode == 0, second.stdout + second.stderr
    assert "2 partitions of qwen2.5, 2 are current" in second.stdout
    ended = dict(line.split() for line in second.stdout.splitlines() if "|" in line)
    assert ended == {f"{benchmark}|qwen2.5-14b": "success" for benchmark in served.family.benchmarks}
    experiment = load_experiment(served.family.path)
    lane = evaluation_lane(experiment, "base")
    assert to_launch(experiment, lane, list(ended), only_missing=True) == ([], 2)
    runs = served.page.ask(BY_PARTITION)["results"]
    assert len(runs) == 6
    for run in runs:
        assert run["jobName"] == "base_evaluation"
        assert {"key": "gsr/experiment", "value": "recorded"} in run["tags"]
    # They share the pool of what loads a model: never two at a time.
    times = sorted((run["startTime"], run["endTime"]) for run in runs)
    assert all(end <= start for (_, end), (start, _) in pairwise(times))
    with pytest.raises(BackfillError, match="serves the experiment recorded, not another"):
        served.page.repository(experiment.model_copy(update={"name": "another"}), lane.name)
