"""The plan of students that learn from rewards: they write rollouts, and have no teacher."""

from pathlib import Path

import pytest
import yaml

from gsr_dagster.commands.plan.steps import Step, plan
from gsr_dagster.experiment.loading import experiment_path, load_experiment
from resources.training.reinforcement.grpo_training import order_of_prompts

PROBLEMS, CANDIDATE, ROLLOUT = 10, 50, 100


def planned(folder: Path, training: dict[str, object], **student: object) -> dict[str, Step]:
    """Return the steps that teach a student of ten problems, each with a group of two candidates."""
    problems = [f'{{"id": "{n}", "problem": "{n:040}", "answer": "1"}}' for n in range(PROBLEMS)]
    (folder / "problems.jsonl").write_text("\n".join(problems))
    rollouts = {"samples": 4, "temperature": 1.0, "max_new_tokens": ROLLOUT}
    document = {
        "name": "rewarded",
        "k": 2,
        "benchmarks": {"own": {"source": "file:problems.jsonl", "samples": 4}},
        "training_problems": {"source": "file:problems.jsonl"},
        "families": {"llama": {"tiny": {"source": "path:nowhere", "parameters": 1e6}}},
        "students": {
            "llama-grpo": {
                "base": "llama-tiny",
                "candidates": {"samples": 4, "temperature": 1.0, "max_new_tokens": CANDIDATE},
                "training": {"method": "grpo", "batch_size": 20, "rows_at_once": 4, "rollouts": rollouts, **training},
                **student,
            }
        },
    }
    (folder / "experiment.yaml").write_text(yaml.safe_dump(document))
    steps = plan(load_experiment(folder / "experiment.yaml"))
    return {step.what: step for step in steps if step.what.startswith(("training_", "teacher_", "lora_"))}


def test_rollouts_stand_where_a_teacher_would(tmp_path):
    steps = planned(tmp_path, {}, rows="refinement", groups=2)
    assert list(steps) == ["training_candidates", "training_rollouts", "lora_checkpoints"]
    assert steps["training_candidates"].samples == 4 * PROBLEMS
    rollouts = steps["training_rollouts"]
    assert (rollouts.sampler, rollouts.prompts, rollouts.samples) == ("llama-tiny", 2 * PROBLEMS, 4 * 2 * PROBLEMS)
    assert rollouts.tokens == rollouts.samples * ROLLOUT


def test_direct_prompts_alone_need_no_candidates(tmp_path):
    steps = planned(tmp_path, {}, rows="direct")
    assert list(steps) == ["training_rollouts", "lora_checkpoints"]
    assert steps["training_rollouts"].prompts == PROBLEMS


def test_every_rollout_is_trained_on_with_its_prompt_as_often_as_it_is_learned_from(tmp_path):
    once, thrice = (planned(tmp_path, {"num_iterations": number}, rows="refinement", groups=2) for number in (1, 3))
    rollouts, training = once["training_rollouts"], once["lora_checkpoints"]
    prompt = rollouts.prompt_tokens // rollouts.prompts
    assert prompt > 2 * CANDIDATE
    assert (training.samples, training.tokens) == (rollouts.samples, rollouts.samples * (prompt + ROLLOUT))
    assert thrice["training_rollouts"].samples == rollouts.samples
    assert thrice["lora_checkpoints"].tokens == 3 * training.tokens


@pytest.mark.parametrize(("batch_size", "epochs", "groups"), [(400, 1, 100), (28, 1, 7), (28, 2, 21), (20, 0.5, 5)])
def test_a_step_is_whole_also_where_there_are_fewer_prompts(tmp_path, batch_size, epochs, groups):
    steps = planned(tmp_path, {"batch_size": batch_size, "epochs": epochs}, rows="direct")
    training = {"batch_size": batch_size, "epochs": epochs, "rollouts": {"samples": 4}}
    assert steps["training_rollouts"].prompts == groups == len(order_of_prompts(PROBLEMS, training, seed=1))


def test_the_plan_of_agglm_has_its_budgets():
    steps = {(step.what, step.model): step for step in plan(load_experiment(experiment_path("agglm")))}
    solutions, student = 128 * 4 * 30, "qwen3-1.7b-agglm"
    assert steps["candidate_pools", "qwen3-1.7b"].samples == solutions
    assert steps["self_refinements", "qwen3-1.7b"].samples == steps["agglm", student].samples == solutions // 8
    assert steps["training_candidates", "qwen3-1.7b"].samples == 2 * 8 * 40_000
    rollouts, training = steps["training_rollouts", student], steps["lora_checkpoints", student]
    assert rollouts.samples == training.samples == 78 * 8192
    assert training.tokens <= training.samples * (16_384 + 16_384)
