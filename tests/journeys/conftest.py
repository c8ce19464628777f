"""A tiny experiment with a real small model, run by the command as a user would."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from resources.artifacts import ArtifactKey, ArtifactStore

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

    def __init__(self, folder: Path, model: Path, environment: dict[str, str]):
        self.folder = folder
        self.model = model
        self.environment = environment
        self.path = folder / "small.yaml"
        self.write(samples=4)
        root = environment.get("GSR_ARTIFACTS") or str(folder / "home" / "artifacts")
        self.store = ArtifactStore(root=f"{root}/small")

    def document(self, samples: int) -> dict:
        return experiment_document(self.model, samples)

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
    """Return what starts a journey in a folder, with its first run done."""

    def start(folder: Path, environment: dict[str, str] | None = None) -> Journey:
        journey = Journey(folder, small_model, environment or {})
        journey.first = journey.gsr("run")
        assert journey.first.returncode == 0, journey.first.stdout + journey.first.stderr
        return journey

    return start
