"""A few training rows, and a student that learns them."""

import json
from pathlib import Path

from gsr_dagster.experiment.students import Student
from gsr_dagster.method.prompting.prompts import direct_messages, refinement_messages
from resources.training.saves import Saves
from resources.training.trainer import Trained, Trainer

ROLLOUTS = {"samples": 4, "temperature": 1.0, "max_new_tokens": 16}


def student(**settings: object) -> Student:
    training = {"epochs": 1, "learning_rate": 1e-3, "batch_size": 4, "rows_at_once": 2, "max_length": 512}
    lora = settings.pop("lora", {})
    return Student.model_validate(
        {
            "base": "llama-tiny",
            "teacher": "llama-tiny",
            "candidates": ROLLOUTS,
            "refinements": ROLLOUTS,
            "solutions": ROLLOUTS,
            "lora": lora,
            "training": {**training, **settings},
        }
    )


def training_rows(count: int) -> list[dict]:
    rows = []
    for number in range(count):
        problem, completion = f"{number} + 3 =", f"The answer is \\boxed{{{number + 3}}}."
        refine = number % 2
        prompt = refinement_messages(problem, [completion, "No idea."]) if refine else direct_messages(problem)
        kind = "refinement" if refine else "direct"
        rows.append({"kind": kind, "messages": json.dumps(prompt), "completion": completion})
    return rows


def train(model: Path, scratch: Path, saves: Saves | None = None, rows: int = 12, **settings: object) -> Trained:
    scratch.mkdir()
    learner = student(**settings)
    return Trainer().train("test", learner, f"path:{model}", training_rows(rows), 7, scratch, saves=saves)


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}
