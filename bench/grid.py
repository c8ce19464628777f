"""Recorded samples of the paper's size, made up by a seed: what `bench.scale` runs. `bench.grid_texts` has the texts.

Of the paper (experiments/paper.yaml) are the models with their parameters, the number of samples a problem, k and the
rollout settings. Files are as `gsr import` writes them, and are written some rows at a time: making them needs little
memory.
"""

import json
import random
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from bench.grid_texts import Problem, Writer, made_problem
from gsr_dagster.experiment.experiment import Experiment, Model
from gsr_dagster.experiment.loading import experiment_path, load_experiment
from gsr_dagster.method.rows import Row
from resources.problems.recorded_samples import GROUP_SIZE

# The paper's benchmarks with short answers: their problems, and how hard they are in the mean.
BENCHMARKS = {
    "aime24": (30, 1.5),
    "aime25": (30, 1.7),
    "amc22-23": (83, 0.3),
    "math500": (500, -1.2),
    "olympiadbench": (675, 0.8),
}
RAISED, MORE = "math500", 4  # of this benchmark so many more samples are recorded than the paper draws
CHARACTERS = (1540, 2900)  # of a solution
CHARACTERS_A_TOKEN = 4
ROWS_AT_ONCE = 1000

OF_A_SAMPLE = {
    "problem_id": pa.string(),
    "prompt_id": pa.string(),
    "sample_index": pa.int64(),
    "text": pa.string(),
    "finish_reason": pa.string(),
    "prompt_tokens": pa.int64(),
    "generated_tokens": pa.int64(),
}
LABELLED = {"label": pa.float64()}


@dataclass(frozen=True)
class Recorder:
    """Makes up what a model wrote, in solutions of so many characters: the better, the more parameters it has."""

    model: Model
    writer: Writer
    characters: tuple[int, int] = CHARACTERS

    @property
    def parameters(self) -> float:
        return self.model.parameters or 1e9

    def solutions(self, rng: random.Random, problem: Problem, samples: int) -> list[Row]:
        """Return direct solutions of a problem, each with its label: 1 for right, 0 for wrong."""
        return [self._written(rng, problem, problem.chance(self.parameters)) for _ in range(samples)]

    def refinements(self, rng: random.Random, problem: Problem, shown: Sequence[Row], samples: int) -> list[Row]:
        """Return refinements of candidates: a large model makes more of few right ones than a small one."""
        share = sum(row["label"] for row in shown) / len(shown)
        chance = 0.2 * problem.chance(self.parameters) + 0.8 * share ** ((3e9 / self.parameters) ** 0.4)
        return [self._written(rng, problem, chance) for _ in range(samples)]

    def _written(self, rng: random.Random, problem: Problem, chance: float) -> Row:
        answer, right = problem.answer(rng, chance)
        text = self.writer.solution(rng, rng.randint(*self.characters), answer, self.model.thinking_end)
        return {
            "text": text,
            "finish_reason": "length" if answer is None else "stop",
            "prompt_tokens": 0,
            "generated_tokens": len(text) // CHARACTERS_A_TOKEN,
            "label": float(right),
        }


class SampleFile:
    """A file of recorded samples in the making, with few of its rows in memory."""

    def __init__(self, path: Path, columns: Mapping[str, pa.DataType], k: int):
        self.file = pq.ParquetWriter(path, pa.schema({**OF_A_SAMPLE, **columns}, metadata={GROUP_SIZE: str(k)}))
        self.rows: list[Row] = []

    def add(self, problem_id: str, prompt: str, samples: Iterable[Row], **beside: Any) -> None:
        """Add the samples of a prompt, its problem's or /gNUMBER, each with what stands beside all of them."""
        ids = {"problem_id": problem_id, "prompt_id": f"{problem_id}{prompt}"}
        self.rows += [{**ids, "sample_index": index, **sample, **beside} for index, sample in enumerate(samples)]
        if len(self.rows) >= ROWS_AT_ONCE:
            self.flush()

    def flush(self) -> None:
        self.file.write_table(pa.Table.from_pylist(self.rows, self.file.schema))
        self.rows = []


@contextmanager
def sample_file(folder: Path, columns: Mapping[str, pa.DataType], k: int) -> Iterator[SampleFile]:
    """Yield the file of the samples in a model's folder, and close it."""
    folder.mkdir(parents=True, exist_ok=True)
    samples = SampleFile(folder / "samples.parquet", columns, k)
    yield samples
    samples.flush()
    samples.file.close()


@dataclass(frozen=True)
class Grid:
    """The paper's first models on its benchmarks, with a share of their problems."""

    scale: float
    models: int
    seed: int

    @property
    def named(self) -> dict[str, Model]:
        return dict(list(paper().models.items())[: self.models])

    def problems(self, benchmark: str) -> list[Problem]:
        """Return a benchmark's problems, one at least."""
        count, hardness = BENCHMARKS[benchmark]
        return [
            made_problem(self.seed, benchmark, number, hardness) for number in range(max(1, round(self.scale * count)))
        ]

    @property
    def size(self) -> str:
        """How much the experiment asks for at first, in words."""
        asked, models = paper(), len(self.named)
        samples = {name: asked.benchmarks[name].samples for name in BENCHMARKS}
        counts = {name: len(self.problems(name)) for name in BENCHMARKS}
        candidates = models * sum(counts[name] * samples[name] for name in BENCHMARKS)
        groups = models * sum(counts[name] * (samples[name] // asked.k) for name in BENCHMARKS)
        return f"{models} models × {len(BENCHMARKS)} benchmarks, {candidates:,} candidates, {groups:,} refinements"

    def write(self, folder: Path) -> None:
        """Write the problems of every benchmark, and a folder with the samples of each model."""
        asked, writer = paper(), Writer(self.seed)
        problems = {name: self.problems(name) for name in BENCHMARKS}
        for name, of_benchmark in problems.items():
            write_problems(folder / f"{name}.jsonl", of_benchmark)
        for number, (key, model) in enumerate(self.named.items(), start=1):
            recorder = Recorder(model, writer)
            with sample_file(folder / key, LABELLED, asked.k) as file:
                for name, of_benchmark in problems.items():
                    samples = asked.benchmarks[name].samples + (MORE if name == RAISED else 0)
                    for problem in of_benchmark:
                        rng = random.Random(f"{self.seed}:{key}:{problem.id}")
                        _record(file, recorder, problem, samples, asked.k, rng)
            say(f"made the samples of {key}, {number} of {len(self.named)} models")

    def document(self) -> dict[str, Any]:
        """Return the experiment as it is at first: the paper's, with recorded models."""
        asked, families = paper(), dict[str, dict[str, Any]]()
        for key, model in self.named.items():
            family = asked.family(key)
            said = model.model_dump(include={"parameters", "thinking_end", "max_new_tokens"}, exclude_none=True)
            engine = {"kind": "recorded", "path": key}
            families.setdefault(family, {})[key.removeprefix(f"{family}-")] = {**said, "engine": engine}
        benchmarks = {
            name: {"source": f"file:{name}.jsonl", "samples": asked.benchmarks[name].samples} for name in BENCHMARKS
        }
        return {"name": "scale", **shared(asked), "families": families, "benchmarks": benchmarks}


def _record(file: SampleFile, recorder: Recorder, problem: Problem, samples: int, k: int, rng: random.Random) -> None:
    """Add a model's candidates of a problem, and a refinement of each group of them."""
    candidates = recorder.solutions(rng, problem, samples)
    file.add(problem.id, "", candidates)
    for group in range(samples // k):
        shown = candidates[group * k : (group + 1) * k]
        file.add(problem.id, f"/g{group}", recorder.refinements(rng, problem, shown, 1))


def paper() -> Experiment:
    return load_experiment(experiment_path("paper"))


def shared(asked: Experiment) -> dict[str, Any]:
    """Return what every experiment here has of the paper's."""
    evaluation = asked.evaluation.model_dump(mode="json")
    return {"seed": asked.seed, "k": asked.k, "evaluation": evaluation, "contamination": asked.contamination}


def write_problems(path: Path, problems: Iterable[Problem]) -> None:
    with path.open("w", encoding="utf-8") as file:
        for problem in problems:
            file.write(json.dumps({"id": problem.id, "problem": problem.text, "answer": problem.right[0]}) + "\n")


def write_document(path: Path, document: Mapping[str, Any]) -> None:
    path.write_text(yaml.safe_dump(dict(document), sort_keys=False), encoding="utf-8")


def say(text: str) -> None:
    """Tell how far the making is, apart from the table."""
    print(text, file=sys.stderr, flush=True)
