"""Recorded models, as an experiment that needs none."""

import json
from pathlib import Path

import yaml

from resources.problems.recorded_samples import Recorded, write_recorded


class RecordedFamily:
    """Two models of one family whose samples someone drew before, on two benchmarks: an experiment without a model.

    A third model, never run, loads weights: so the steps that load a model share a pool.
    """

    models = ("7b", "14b")
    benchmarks = ("short", "long")

    def __init__(self, folder: Path):
        self.folder = folder
        self.path = folder / "experiment.yaml"
        for name, problems in (("short", 3), ("long", 5)):
            rows = [{"id": str(i), "problem": f"What is {i} + {i}?", "answer": str(2 * i)} for i in range(problems)]
            (folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
        for model in self.models:
            self.record(model, samples=4)
        self.write()

    def record(self, model: str, samples: int, problems: int = 5) -> None:
        """Write a model's samples of the first problems, every second one right, and a right refinement of each two."""
        rows = [
            Recorded(str(i), f"What is {i} + {i}?", str(2 * i), f"It is \\boxed{{{2 * i}}}.", self._candidates(i))
            for i in range(problems)
            for _ in range(samples // 2)
        ]
        write_recorded(rows, self.folder / model, k=2)

    @staticmethod
    def _candidates(number: int) -> tuple[str, ...]:
        return tuple(f"The answer is \\boxed{{{2 * number + wrong}}}." for wrong in (0, 1))

    def write(self, samples: int = 4) -> None:
        """Write the experiment file, with so many samples a problem."""
        rollout = {"temperature": 1.0, "max_new_tokens": 64}
        models = {model: {"parameters": 1e9, "engine": {"kind": "recorded", "path": model}} for model in self.models}
        document = {
            "name": "recorded",
            "k": 2,
            "families": {"qwen2.5": models, "llama": {"tiny": {"source": "path:nowhere", "parameters": 1}}},
            "benchmarks": {name: {"source": f"file:{name}.jsonl", "samples": samples} for name in self.benchmarks},
            "evaluation": {"direct": rollout, "refinement": rollout, "candidate_tokens": 64},
        }
        self.path.write_text(yaml.safe_dump(document, sort_keys=False))
