"""An experiment file that is right, changed as people change it, and what is said of it then."""

from pathlib import Path

import pytest

from gsr_dagster.experiment.loading import ExperimentError, load_experiment

RIGHT = """\
name: mine
seed: 1
k: 4
families:
  qwen:
    7b:
      source: "hf:Qwen/Qwen2.5-7B@main"
      parameters: 7e9
      engine: {kind: vllm}
    served:
      engine: {kind: openai, base_url: "http://box:8000/v1", model: big}
benchmarks:
  own: {source: "file:own.jsonl", samples: 8}
  sums: {source: "reasoning-gym:chain_sum", problems: 10, samples: 8, options: {min_terms: 2}}
evaluation:
  direct: {temperature: 0.7, max_new_tokens: 1000}
  refinement: {temperature: 0.7, max_new_tokens: 1000}
  candidate_tokens: 4000
training_problems: {source: "hub:math-train", problems: 100}
students:
  qwen-gsr:
    base: qwen-7b
    teacher: qwen-served
    candidates: {samples: 4, temperature: 1.0, max_new_tokens: 1000}
    refinements: {samples: 4, temperature: 0.7, max_new_tokens: 1000}
    solutions: {samples: 4, temperature: 0.7, max_new_tokens: 1000}
    training: {epochs: 2, learning_rate: 1e-4}
"""


def section(name: str) -> str:
    """Return the text of a top section."""
    lines = RIGHT.splitlines(keepends=True)
    start = lines.index(next(line for line in lines if line.startswith(f"{name}:")))
    end = next((n for n in range(start + 1, len(lines)) if not lines[n].startswith(" ")), len(lines))
    return "".join(lines[start:end])


def said(folder: Path, text: str) -> list[str]:
    """Return the lines of what is said of a text, without its first, which names the file; none where it is right."""
    (folder / "own.jsonl").touch()
    path = folder / "mine.yaml"
    path.write_text(text)
    try:
        load_experiment(path, with_inputs=True)
    except ExperimentError as error:
        first, *lines = str(error).replace(str(folder), "HERE").splitlines()
        assert first in ("HERE/mine.yaml cannot be used:", "HERE/mine.yaml is not YAML:")
        return [line.strip() for line in lines]
    return []


def changed(old: str, new: str) -> str:
    """Return the right text with one change."""
    if old not in RIGHT:
        pytest.fail(f"{old!r} is not in the text")
    return RIGHT.replace(old, new, 1)
