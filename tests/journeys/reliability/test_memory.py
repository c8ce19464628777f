"""Memory over a long run of the recorded engine, sampling and grading: it does not grow with the samples."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
import yaml

from tests.journeys.reliability import long_run
from tests.journeys.reliability.full_numbers import times

SHORT, LONG = times(8_000, 20_000), times(32_000, 200_000)
PER_PROBLEM = 40
WORDS = ("the", "number", "is", "then", "equal", "to", "we", "see", "that", "both", "sides", "add", "up", "so")
# Of a sample the run keeps its number, its seed and its id for a while, never its text of 1 to 2 KB.
MOST_BYTES_A_SAMPLE = times(1_500, 300)


def record(folder: Path, problems: int) -> None:
    """Write a model's samples as `gsr import` does: each of 1 to 2 KB, right one time in four."""
    draw = random.Random(0)
    parts = [" ".join(draw.choice(WORDS) + str(draw.randint(0, 999)) for _ in range(40)) for _ in range(2_000)]
    rows: dict[str, list] = {name: [] for name in ("problem_id", "prompt_id", "sample_index", "text")}
    for problem in range(problems):
        for index in range(PER_PROBLEM):
            said = problem + draw.choice((0, 0, 1, 2, 3, 4, 5, 6))
            text = "\n".join((*draw.sample(parts, draw.randint(4, 7)), f"It is \\boxed{{{said}}}."))
            for name, value in zip(rows, (f"p{problem}", f"p{problem}", index, text), strict=True):
                rows[name].append(value)
    same = {"finish_reason": "stop", "prompt_tokens": 40, "generated_tokens": 400}
    every = {**rows, **{name: [value] * len(rows["text"]) for name, value in same.items()}}
    pyarrow.parquet.write_table(pyarrow.table(every), folder / "samples.parquet")


@pytest.fixture
def experiment(tmp_path) -> Path:
    """A model with recorded samples on a short and on a long benchmark."""
    (tmp_path / "m").mkdir()
    record(tmp_path / "m", LONG // PER_PROBLEM)
    benchmarks = {}
    for name, samples in (("short", SHORT), ("long", LONG)):
        lines = [{"id": f"p{p}", "problem": f"Count to {p}.", "answer": str(p)} for p in range(samples // PER_PROBLEM)]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, lines)))
        benchmarks[name] = {"source": f"file:{name}.jsonl", "samples": PER_PROBLEM}
    rollout = {"temperature": 1.0, "max_new_tokens": 64}
    document = {
        "name": "long",
        "k": 2,
        "families": {"said": {"7b": {"parameters": 7e9, "engine": {"kind": "recorded", "path": "m"}}}},
        "benchmarks": benchmarks,
        "evaluation": {"direct": rollout, "refinement": dict(rollout), "candidate_tokens": 64},
    }
    path = tmp_path / "long.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return path


def test_memory_does_not_grow_with_the_samples(experiment, tmp_path):
    environment = {**os.environ, "GSR_HOME": str(tmp_path / "home")}
    command = [sys.executable, "-m", long_run.__name__, str(experiment)]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    print(ran.stdout)
    steps = [json.loads(line) for line in ran.stdout.splitlines()]
    peaks = {(step["step"], step["benchmark"]): step["peak"] + step["graders"] for step in steps}
    slopes = {step: (peaks[step, "long"] - peaks[step, "short"]) / (LONG - SHORT) for step in long_run.STEPS}
    print(f"bytes a sample, from {SHORT} to {LONG}: {slopes}")
    assert max(slopes.values()) < MOST_BYTES_A_SAMPLE, slopes
