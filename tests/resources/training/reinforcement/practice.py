"""A few prompts of small sums, and a student that learns from the rewards of its answers to them."""

import json
import random
from pathlib import Path

from gsr_dagster.experiment.students import Student
from gsr_dagster.method.prompting.prompts import direct_messages, refinement_messages
from resources.training.reinforcement.rollouts import Rollouts
from resources.training.saves import Saves
from resources.training.trainer import Rewarded, Trained, Trainer
from tests.small_model import attempt, sum_problem

SEED = 7
GROUP = {"samples": 8, "temperature": 1.0, "max_new_tokens": 12}


def student(**settings: object) -> Student:
    lora = settings.pop("lora", {})
    training = {"method": "grpo", "rollouts": GROUP, "batch_size": 32, "rows_at_once": 16, "learning_rate": 1e-3}
    return Student.model_validate(
        {"base": "llama-tiny", "candidates": GROUP, "lora": lora, "training": {**training, **settings}}
    )


def prompts(count: int) -> list[dict]:
    """Return prompts, every second one to refine two candidates, each with the gold of its problem."""
    rng, rows = random.Random(3), []
    for number in range(count):
        problem, answer = sum_problem(rng)
        candidates = [attempt(answer, rng) for _ in range(2)]
        refines = number % 2 == 1
        messages = refinement_messages(problem, candidates) if refines else direct_messages(problem)
        kind = "refinement" if refines else "direct"
        row = {"row_id": f"{kind}/{number}", "kind": kind, "problem_id": f"p{number}", "domain": "math"}
        rows.append({**row, "messages": json.dumps(messages), "gold": str(answer)})
    return rows


def train(
    model: Path, scratch: Path, rows: list[dict] | None = None, saves: Saves | None = None, **settings: object
) -> Trained:
    scratch.mkdir()
    rows = prompts(8) if rows is None else rows
    rewarded = Rewarded("math-verify", None)
    learner = student(**settings)
    return Trainer().train("test", learner, f"path:{model}", rows, SEED, scratch, saves=saves, rewarded=rewarded)


def rollouts_of(trained: Trained) -> list[dict]:
    return [row for part in Rollouts(trained.rollouts).shards(1000) for row in part]
