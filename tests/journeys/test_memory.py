"""Memory over a long run of the recorded engine, sampling and grading: it does not grow with the samples."""

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pyarrow
import pyarrow.parquet
import pytest
import yaml

from tests.journeys import long_run
from tests.journeys.reliability import times

SHORT, LONG = times(2_000, 20_000), times(8_000, 200_000)
PER_PROBLEM = 40
WORDS = ("the", "number", "is", "then", "equal", "to", "we", "see", "that", "both", "sides", "add", "up", "so")
# Of a sample the run keeps its number, its seed and its id for a while, never its text of 1 to 2 KB.
MOST_BYTES_A_SAMPLE = 600


def recorded(problems: int) -> Iterator[dict]:
    draw = random.Random(0)
    for problem in range(problems):
        for index in range(PER_PROBLEM):
            said = draw.choice([problem, problem, *range(problem + 1, problem + 7)])
            text = " ".join(draw.choice(WORDS) + str(draw.randint(0, 999)) for _ in range(draw.randint(120, 250)))
            counted = {"finish_reason": "stop", "prompt_tokens": 40, "generated_tokens": 400}
            named = {"problem_id": f"p{problem}", "prompt_id": f"p{problem}", "sample_index": index}
            yield {**named, "text": f"{text} It is \\boxed{{{said}}}.", **counted}


@pytest.fixture
def experiment(tmp_path) -> Path:
    """A model with recorded samples on a short and on a long benchmark."""
    problems = LONG // PER_PROBLEM
    rows = pyarrow.Table.from_pylist(list(recorded(problems)))
    (tmp_path / "m").mkdir()
    pyarrow.parquet.write_table(rows, tmp_path / "m" / "samples.parquet")
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
    began = time.monotonic()
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        running = psutil.Process(process.pid)
        ran = [json.loads(line) for line in process.stdout]
        del running
    assert process.returncode == 0
    peaks = {(step["step"], step["benchmark"]): step["peak"] for step in ran}
    for step in ran:
        print(step)
    slopes = {step: (peaks[step, "long"] - peaks[step, "short"]) / (LONG - SHORT) for step in long_run.STEPS}
    print(slopes, time.monotonic() - began)
    assert max(slopes.values()) < MOST_BYTES_A_SAMPLE, slopes
