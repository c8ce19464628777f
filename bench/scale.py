"""The paper's size without a model: `python -m bench.scale`. It makes recorded samples by a seed, and runs them.

1   `gsr run` from nothing: the paper's models on five of its benchmarks, no student
2   `gsr run` with more samples of one benchmark
3   `gsr run` with nothing to do
4   `gsr run` with another grader: exact, after math-verify, which is the default and graded row 1
5   `gsr regrade --grader math-verify`, which grades everything again and stores nothing
6   `gsr run` after a change that the reports alone see: a model's parameters
7   `gsr sql` with a count
8   the artifacts after rows 1, 2 and 4, and how much of them no manifest names
9   what a student is taught with: each asset alone in a process of its own, its checks too

Every row is a process of its own, whose exit status is looked at; `bench.measuring` says what is measured of it.

`--folder F` keeps the samples and the artifacts: with it rows can be run later, from 2 on upon what is there.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import psutil
import yaml

from bench.grid import MORE, RAISED, Grid, paper, say, write_document
from bench.grid_teaching import Teaching
from bench.measuring import measured
from resources.store.artifacts import ArtifactStore
from resources.store.verification import artifact_folder, manifest_name

PROJECT = Path(__file__).parents[1]
PROBLEMS_TO_LEARN = 56_000  # the paper's
CHARACTERS_OF_A_LOG = 2000
SIZED_AFTER, SIZES, TAUGHT = (1, 2, 4), 8, 9
TAUGHT_ASSETS = ("benchmark_problems", "training_problems", "contamination", "training_candidates")
TAUGHT_ASSETS += ("teacher_refinements", "teacher_solutions", "training_sets")
HEADER = """\
| row | what | seconds | CPU seconds | largest process, GB | all processes, GB |
|---|---|---|---|---|---|"""

Document = dict[str, Any]


@dataclass(frozen=True)
class Row:
    """A row of the grid: a command of gsr, what it says at its end, and what is changed in the experiment file before it."""

    what: str
    command: Sequence[str]
    says: str
    change: Callable[[Document], None] | None = None


def raise_samples(document: Document) -> None:
    document["benchmarks"][RAISED]["samples"] = paper().benchmarks[RAISED].samples + MORE


def change_grader(document: Document) -> None:
    document["evaluation"]["grader"] = "exact"


def change_parameters(document: Document) -> None:
    first = next(iter(next(iter(document["families"].values())).values()))
    first["parameters"] *= 1.01


COUNT = "select count(*) from base_gap_reports"
MADE = "assets materialized in"
ROWS = {
    1: Row("`gsr run` from nothing", ["run"], MADE),
    2: Row(f"`gsr run` with {MORE} more samples of {RAISED}", ["run"], MADE, raise_samples),
    3: Row("`gsr run` with nothing to do", ["run"], "Nothing to do"),
    4: Row("`gsr run` with the grader exact, not math-verify", ["run"], MADE, change_grader),
    5: Row("`gsr regrade --grader math-verify`", ["regrade", "--grader", "math-verify"], "gap"),
    6: Row("`gsr run` after a change of a model's parameters", ["run"], MADE, change_parameters),
    7: Row(f'`gsr sql "{COUNT}"`', ["sql", COUNT], "count"),
}


class Folder:
    """A folder of the benchmark: what was made up, a home for what gsr makes of it, and the output of each run."""

    def __init__(self, root: Path, made_up: Grid | Teaching):
        self.root = root
        self.made_up = made_up
        self.experiment = root / "experiment.yaml"
        self.home = root / "home"

    def prepare(self) -> None:
        """Make the samples up, unless they are there. Raises SystemExit where others are."""
        marker, asked = self.root / "made.json", asdict(self.made_up)
        if marker.exists():
            if (there := json.loads(marker.read_text())) != asked:
                raise SystemExit(f"{self.root} holds {there}, not {asked}: take another folder")
            return
        started = time.perf_counter()
        self.root.mkdir(parents=True, exist_ok=True)
        self.made_up.write(self.root)
        marker.write_text(json.dumps(asked))
        size = sum(path.stat().st_size for path in self.root.rglob("*.parquet"))
        say(f"{self.made_up.size}: {size / 1e6:,.0f} MB, made in {time.perf_counter() - started:.0f} s")

    def start_anew(self) -> None:
        """Remove all that gsr made."""
        if self.home.exists():
            shutil.rmtree(self.home)

    def change(self, change: Callable[[Document], None]) -> None:
        """Change the experiment file. Raises SystemExit where it says so already: there would be nothing to measure."""
        before = self.experiment.read_text()
        document = yaml.safe_load(before)
        change(document)
        write_document(self.experiment, document)
        if self.experiment.read_text() == before:
            raise SystemExit(f"{change.__name__}: {self.experiment} is changed already. Row 1 starts anew")

    def run(self, number: int, what: str, command: Sequence[str | Path], says: str) -> None:
        """Run a command and print its row. Raises SystemExit where it fails or says something else, with what it says."""
        log = self.root / f"row-{number}.log"
        say(f"row {number}: {what}")
        cost = measured(command, PROJECT, self._environment(), log)
        failed = f", failed: exit status {cost.status}" if cost.status else ""
        memory = f"{cost.largest / 1e9:.2f} | {cost.together / 1e9:.2f}"
        print(f"| {number} | {what}{failed} | {cost.seconds:,.1f} | {cost.cpu:,.1f} | {memory} |", flush=True)
        said = log.read_text(errors="replace")
        if cost.status or says not in said:
            raise SystemExit(f"row {number} does not end with {says!r}:\n{said[-CHARACTERS_OF_A_LOG:]}")

    def print_sizes(self, after: int) -> None:
        """Print how large the artifacts are, and how much of them is in files that no manifest names."""
        (root,) = (self.home / "artifacts").iterdir()
        store, named = ArtifactStore(root=str(root)), set[Path]()
        for key in store.verified.published():
            manifest = store.existing(key)
            inside = root / artifact_folder(key, manifest.fingerprint)
            named |= {root / manifest_name(key), *(inside / stored.name for stored in manifest.stored)}
        sizes = {path: path.stat().st_size for path in root.rglob("*") if path.is_file()}
        whole, unnamed = sum(sizes.values()), sum(size for path, size in sizes.items() if path not in named)
        told = f"after row {after}: {whole / 1e6:,.1f} MB of artifacts, {unnamed / 1e6:,.1f} MB of it in no manifest"
        print(f"| {SIZES} | {told} | | | | |", flush=True)

    def _environment(self) -> dict[str, str]:
        others = {name: value for name, value in os.environ.items() if name not in ("GSR_ARTIFACTS", "GSR_EXPERIMENT")}
        path = os.pathsep.join(filter(None, [str(PROJECT), others.get("PYTHONPATH")]))
        ours = {"GSR_HOME": str(self.home), "GSR_CACHE": str(self.root / "cache"), "DAGSTER_HOME": ""}
        return {**others, **ours, "PYTHONPATH": path, "HF_HUB_OFFLINE": "1"}


def run_grid(folder: Folder, grid: Grid, chosen: Sequence[int]) -> None:
    """Make the grid and print the chosen rows of it."""
    if chosen[0] != 1 and not folder.home.exists():
        raise SystemExit(
            f"row {chosen[0]} goes on from row 1, which was not run in {folder.root}: --rows 1,{chosen[0]}"
        )
    folder.prepare()
    gsr = Path(sys.executable).with_name("gsr")
    for number, row in ((number, ROWS[number]) for number in chosen if number in ROWS):
        what = row.what
        if number == 1:
            folder.start_anew()
            write_document(folder.experiment, grid.document())
            what = f"{what}: {grid.size}"
        if row.change:
            folder.change(row.change)
        folder.run(number, what, [gsr, "-e", folder.experiment, *row.command], row.says)
        if number in SIZED_AFTER and SIZES in chosen:
            folder.print_sizes(number)


def run_teaching(folder: Folder, teaching: Teaching) -> None:
    """Make what is taught, and print a row for each asset of it."""
    folder.prepare()
    folder.start_anew()
    say(teaching.size)
    for asset in TAUGHT_ASSETS:
        command = [sys.executable, "-m", "bench.scale", "--materialize", asset, folder.experiment]
        folder.run(TAUGHT, f"teaching on {teaching.problems:,} problems: {asset}", command, MADE)


def materialize(asset: str, path: str) -> None:
    """Materialize one asset of an experiment, as `gsr run` does with all."""
    import dagster as dg

    from gsr_dagster.commands.options import console, named_experiment
    from gsr_dagster.definitions import build_definitions
    from gsr_dagster.operations.home import artifact_store
    from gsr_dagster.operations.instance.preparing import prepare_instance
    from gsr_dagster.operations.lanes import lanes
    from gsr_dagster.operations.running.one_by_one import Run

    experiment = named_experiment(path)
    prepare_instance()
    alone = [replace(lane, steps=(step,)) for lane in lanes(experiment) for step in lane.steps if step.asset == asset]
    with dg.DagsterInstance.get() as instance:
        definitions, store = build_definitions(experiment), artifact_store(experiment)
        made = Run(experiment, definitions, instance, alone, store, console).materialize_all()
    if made:
        print(f"{made} {MADE} this process")


def main() -> None:
    """Make what is missing, run the chosen rows and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=1.0, help="share of each benchmark's problems")
    parser.add_argument("--models", type=int, default=len(paper().models), help="how many of the paper's models")
    parser.add_argument("--teaching", type=int, default=PROBLEMS_TO_LEARN, help="training problems, 0 for no row 9")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="where everything is made, and kept")
    parser.add_argument("--rows", default="1,2,3,4,5,6,7,8,9", help="as in 1,3,7")
    parser.add_argument("--materialize", nargs=2, metavar=("ASSET", "FILE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.materialize:
        materialize(*arguments.materialize)
        return
    chosen = sorted({int(number) for number in arguments.rows.split(",")})
    if unknown := set(chosen) - {*ROWS, SIZES, TAUGHT}:
        parser.error(f"there is no row {unknown.pop()}")
    grid = Grid(arguments.scale, arguments.models, arguments.seed)
    teaching = Teaching(arguments.teaching, arguments.seed)
    with nullcontext(arguments.folder) if arguments.folder else tempfile.TemporaryDirectory() as place:
        root = Path(place).resolve()
        print(f"{os.cpu_count()} cores, {psutil.virtual_memory().total / 1e9:.0f} GB of memory\n\n{HEADER}", flush=True)
        if ROWS.keys() & chosen:
            run_grid(Folder(root / "grid", grid), grid, chosen)
        if TAUGHT in chosen and teaching.problems:
            run_teaching(Folder(root / "teaching", teaching), teaching)


if __name__ == "__main__":
    main()
