"""A tiny experiment with a real small model, run by the command as a user would, and a served page of recorded models."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import yaml

from gsr_dagster.definitions import build_definitions
from gsr_dagster.experiment.keys import ArtifactKey
from gsr_dagster.experiment.loading import load_experiment
from gsr_dagster.operations.backfilling import BackfillError, Page
from resources.store.artifacts import ArtifactStore
from tests.journeys.serving import free_port

SECONDS_TO_START = 240

SUMS = {
    "source": "reasoning-gym:chain_sum",
    "options": {"min_terms": 2, "max_terms": 2, "min_digits": 1, "max_digits": 1},
}
ENGINE = {"kind": "transformers", "batch_size": 64}
ROLLOUT = {"temperature": 1.0, "max_new_tokens": 16}


def experiment_document(model: Path, samples: int = 4) -> dict:
    return {
        "name": "small",
        "seed": 7,
        "k": 2,
        "ks": [4],
        "families": {"llama": {"tiny": {"source": f"path:{model}", "parameters": 5e5, "engine": ENGINE}}},
        "benchmarks": {"sums": {**SUMS, "seed": 1, "problems": 24, "samples": samples}},
        "evaluation": {"direct": ROLLOUT, "refinement": ROLLOUT, "candidate_tokens": 64},
        "aggregations": {"pick": {"kind": "generative_selection"}},
        "training_problems": {**SUMS, "seed": 1000, "problems": 40},
        "students": {
            "llama-student": {
                "base": "llama-tiny",
                "teacher": "llama-tiny",
                "candidates": {"samples": 3, **ROLLOUT},
                "refinements": {"samples": 3, **ROLLOUT},
                "solutions": {"samples": 2, **ROLLOUT},
                "training": {
                    "epochs": 2,
                    "learning_rate": 2e-3,
                    "batch_size": 16,
                    "rows_at_once": 16,
                    "max_length": 512,
                },
            }
        },
    }


class Journey:
    """An experiment in a folder of its own, run as a user would. ``first`` is what the first run printed."""

    command = Path(sys.executable).with_name("gsr")
    first: subprocess.CompletedProcess[str]

    def __init__(
        self, folder: Path, model: Path, environment: dict[str, str], change: Callable[[dict], None] = lambda _: None
    ):
        self.folder = folder
        self.change = change
        self.model = model
        self.environment = environment
        self.path = folder / "small.yaml"
        self.write(samples=4)
        root = environment.get("GSR_ARTIFACTS") or str(folder / "home" / "artifacts")
        self.store = ArtifactStore(root=f"{root}/small")

    def document(self, samples: int) -> dict:
        document = experiment_document(self.model, samples)
        self.change(document)
        return document

    def write(self, samples: int) -> None:
        self.path.write_text(yaml.safe_dump(self.document(samples)))

    def gsr(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        own = {"GSR_HOME": str(self.folder / "home"), "COLUMNS": "160", **self.environment}
        environment = {name: value for name, value in {**os.environ, **own}.items() if name != "DAGSTER_HOME"}
        command = [str(self.command), "--experiment", str(self.path), *arguments]
        return subprocess.run(command, env=environment, cwd=self.folder, capture_output=True, text=True, timeout=600)

    def rows(self, asset: str, partition: str = "") -> list[dict]:
        return self.store.read(ArtifactKey(asset, partition))


@pytest.fixture(scope="session")
def start_journey(small_model) -> Callable[..., Journey]:
    """Return what starts a journey in a folder, with its first run done; ``change`` changes its experiment's document."""

    def start(folder: Path, environment: dict[str, str] | None = None, **change: Callable[[dict], None]) -> Journey:
        journey = Journey(folder, small_model, environment or {}, **change)
        journey.first = journey.gsr("run")
        assert journey.first.returncode == 0, journey.first.stdout + journey.first.stderr
        return journey

    return start


class Served:
    """The recorded family, its page and the command, as a user has them."""

    def __init__(self, family, folder):
        self.family = family
        self.page = Page(f"http://127.0.0.1:{free_port()}")
        own = {"GSR_HOME": str(folder / "home"), "GSR_EXPERIMENT": str(family.path), "COLUMNS": "160"}
        self.environment = {name: value for name, value in {**os.environ, **own}.items() if name != "DAGSTER_HOME"}
        self.log = folder / "page.log"

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-c", "from gsr_dagster.commands.main import main; main()", *arguments]

    def backfill(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = self.command("backfill", "--family", "qwen2.5", "--page", self.page.address, *arguments)
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=600)

    def start(self) -> None:
        command = self.command("page", "--port", self.page.address.rpartition(":")[2])
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                command, env=self.environment, stdout=log, stderr=log, start_new_session=True
            )

    def stop(self) -> None:
        for sign, seconds in ((signal.SIGTERM, 20), (signal.SIGKILL, 5)):
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, sign)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(seconds)

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
def served(recorded_family, tmp_path, monkeypatch) -> Iterator[Served]:
    """The recorded family with its problems materialized, and its page starting."""
    served = Served(recorded_family, tmp_path)
    monkeypatch.setenv("GSR_HOME", served.environment["GSR_HOME"])
    job = build_definitions(load_experiment(recorded_family.path)).resolve_job_def("recorded_benchmarks")
    for benchmark in recorded_family.benchmarks:
        assert job.execute_in_process(partition_key=benchmark).success
    served.start()
    yield served
    served.stop()
