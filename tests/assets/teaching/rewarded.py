"""The school with a student that learns from rewards: what is scripted is what training would leave, rollouts among it."""

import copy
from pathlib import Path

import pytest

from resources.training.reinforcement.rollouts import Rollouts
from resources.training.trainer import Trained
from tests import school
from tests.school import ROLLOUT, STUDENT, School

BY_REWARDS = "llama-rewards"
STEPS = 20
LOGGED = {
    "reward": 0.5,
    "groups_without_gradient": 0.2,
    "generated_tokens": 20.0,
    "truncated": 0.0,
    "no_answer": 0.0,
    "timed_out": 0.0,
    "entropy": 1.0,
    "kl": 0.01,
    "clip_ratio": 0.0,
    "grad_norm": 0.3,
    "tokens": 100,
}


def rewarded_training(self, label, student, source, rows, seed, scratch: Path, *, rewarded=None, **more) -> Trained:
    """Leave what a training by rewards leaves: a right and a wrong rollout to each prompt, half of them a step."""
    prompts = list(rows)
    trained = school.scripted_training(self, label, student, source, prompts, seed, scratch, **more)
    if rewarded is None:
        return trained
    rollouts = Rollouts(scratch / "rollouts")
    rollouts.begin(0)
    for step in (0, 1):
        kept = [
            {
                "rollout_id": f"{step + 1}/0/{2 * place + wrong}",
                "step": step + 1,
                **{name: prompt[name] for name in ("row_id", "kind", "problem_id", "messages")},
                "text": f"The answer is \\boxed{{{prompt['gold']}{'1' if wrong else ''}}}.",
                "finish_reason": "stop",
                "generated_tokens": 20,
                "answer": prompt["gold"] + ("1" if wrong else ""),
                "verdict": "incorrect" if wrong else "correct",
                "reward": 1.0 - wrong,
                "advantage": -1.0 if wrong else 1.0,
            }
            for place, prompt in enumerate(prompts[step::2])
            for wrong in (0, 1)
        ]
        rollouts.keep(step, 0, kept)
    history = [
        {"step": n, "epoch": n / STEPS, "loss": 0.0, "learning_rate": 1e-6, **LOGGED} for n in range(1, STEPS + 1)
    ]
    return trained._replace(history=history, rollouts=rollouts.folder)


def play(patch: pytest.MonkeyPatch) -> None:
    school.play(patch)
    patch.setattr("resources.training.trainer.Trainer.train", rewarded_training)


def document(folder: Path, taught: bool = False, **changes) -> dict:
    """Return the school's experiment with a student that learns from rewards, alone or beside the one that is taught."""
    written = school.document(folder)
    of_teacher = copy.deepcopy(written["students"][STUDENT])
    by_rewards = {
        "base": "llama-tiny",
        "candidates": of_teacher["candidates"],
        "training": {"method": "grpo", "batch_size": 8, "rollouts": {"samples": 4, **ROLLOUT}},
        **changes,
    }
    written["students"] = {**({STUDENT: of_teacher} if taught else {}), BY_REWARDS: by_rewards}
    return written


def finished(folder: Path, root: Path, **changes) -> School:
    made = School(document(folder, **changes), root)
    made.run_all()
    return made
