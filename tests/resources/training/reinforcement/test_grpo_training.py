"""Students that learn from rewards: the reward rises, and a training that is killed ends as one that is not."""

import json
from collections import Counter
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import pytest

from assets.grading import graded_rows
from gsr_dagster.experiment.experiment import Model
from resources.engines.base import Request, sample_seed
from resources.engines.chat import Chat
from resources.engines.transformers import TransformersEngine
from resources.grading.grader import Grader
from resources.training import launching
from resources.training.reinforcement.grpo_training import order_of_prompts
from resources.training.reinforcement.rollouts import KeptRollouts
from resources.training.saves import Saves, step_of
from resources.training.targets import Targets
from resources.training.trainer import Trained, TrainingDiedError
from tests.journeys.reliability.full_numbers import times
from tests.resources.training.lessons import files_of
from tests.resources.training.reinforcement.practice import GROUP, SEED, prompts, rollouts_of, student, train
from tests.resources.training.templates import FOR_PARTS, shipped, tokenizer_with

DYING = "tests.resources.training.reinforcement.dying"
NAMES = [name for name in shipped() if not any(part in name for part in FOR_PARTS)]
# Six steps, each two of which share their rollouts.
SHARED = {"num_iterations": 2, "epochs": 1.5, "save_minutes": 0}
# Where it is killed, one time after another: a point, its step, and the step from which that training had gone on.
KILLS = [
    ("while it samples", 0, None),
    ("before a save", 2, None),
    ("right after a save", 2, None),
    ("rollouts half-written", 2, 2),
    ("between two steps", 3, 2),
    ("a save half-written", 4, 2),
    ("while it samples", 4, 2),
    ("rollouts half-written", 4, 4),
    ("between two steps", 5, 4),
    ("the checkpoint half-written", 6, 4),
]
slow = pytest.mark.skipif(not times(0, 1), reason="many trainings: GSR_RELIABILITY=1")


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    """A cache of these trainings alone: what one has graded, a later one need not."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GSR_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def whole(small_model, tmp_path_factory) -> Trained:
    """A training that was never killed."""
    return train(small_model, tmp_path_factory.mktemp("whole") / "scratch", **SHARED)


def test_the_reward_rises(small_model, tmp_path):
    """It rises by 30 points and more. By noise alone it would rise by half as many once in thousands of times.

    The first and the last fifth of the steps have 256 rollouts each: where nothing is learned, the difference of
    their means has a standard error of 4.4 points.
    """
    direct = [row for row in prompts(16) if row["kind"] == "direct"]
    group = {"rollouts": {**GROUP, "samples": 16}, "batch_size": 128, "rows_at_once": 128}
    settings = {"lora": None, "learning_rate": 4e-4, "num_iterations": 2, "epochs": 10, "save_minutes": 60}
    trained = train(small_model, tmp_path / "scratch", direct, **group, **settings)
    rewards = [row["reward"] for row in trained.history if row["reward"] is not None]
    assert len(rewards) == 10
    assert fmean(rewards[-2:]) - fmean(rewards[:2]) > 0.15, rewards


def test_a_step_that_shares_its_rollouts_has_a_loss_and_no_rewards_of_its_own(whole):
    assert [row["step"] for row in whole.history] == [1, 2, 3, 4, 5, 6]
    assert [row["reward"] is None for row in whole.history] == [False, True] * 3
    assert all(row["grad_norm"] > 0 for row in whole.history)
    assert Counter(row["step"] for row in rollouts_of(whole)) == {1: 32, 3: 32, 5: 32}


def test_every_prompt_of_the_order_gets_a_whole_group_whose_advantages_are_those_of_its_rewards(whole):
    are_whole_groups(rollouts_of(whole), **SHARED)


def are_whole_groups(rollouts: list[dict], **settings: object) -> None:
    """As many rollouts as a group has to each prompt of the order, with the advantages of GRPO."""
    asked, size = prompts(8), GROUP["samples"]
    order = order_of_prompts(8, student(**settings).training.model_dump(mode="json"), SEED)
    assert [row["row_id"] for row in rollouts] == [asked[place]["row_id"] for place in order for _ in range(size)]
    assert len({row["rollout_id"] for row in rollouts}) == len(rollouts)
    for begin in range(0, len(rollouts), size):
        rewards, advantages = (
            [row[name] for row in rollouts[begin : begin + size]] for name in ("reward", "advantage")
        )
        mean, deviation = fmean(rewards), stdev(rewards)
        assert advantages == pytest.approx([(reward - mean) / (deviation + 1e-4) for reward in rewards], abs=1e-5)
    assert any(row["advantage"] for row in rollouts)


def test_what_is_kept_of_a_rollout_is_what_its_evaluation_would_say(whole):
    golds = {row["problem_id"]: row["gold"] for row in prompts(8)}
    problems = [{"problem_id": name, "answer": gold, "domain": "math"} for name, gold in golds.items()]
    rollouts = rollouts_of(whole)
    graded = graded_rows(Grader(), "test", problems, rollouts, Model.model_construct(thinking_end=None))
    for name in ("answer", "verdict"):
        assert [row[name] for row in rollouts] == [row[name] for row in graded]
    assert [row["reward"] for row in rollouts] == [float(row["correct"]) for row in graded]
    assert {row["reward"] for row in rollouts} == {0, 1}
    means = {row["step"]: row["reward"] for row in whole.history}
    assert all(fmean(r["reward"] for r in rollouts if r["step"] == step) == means[step] for step in (1, 3, 5))


def test_the_model_reads_and_writes_as_many_tokens_as_with_an_engine(whole, small_model):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(small_model)
    chat = Chat(tokenizer, {}, None, {tokenizer.eos_token_id})
    rollouts = rollouts_of(whole)
    asked = sum(len(chat.prompt(json.loads(row["messages"]))) for row in rollouts)
    assert whole.history[-2]["tokens"] == asked + sum(row["generated_tokens"] for row in rollouts)
    for row in rollouts:
        ended = row["finish_reason"] == "stop"
        assert row["generated_tokens"] == len(chat.tokenize(row["text"])) + ended
        assert ended or row["generated_tokens"] == GROUP["max_new_tokens"]


def test_the_first_rollouts_are_the_samples_that_the_engine_draws_of_the_untaught_model(whole, small_model):
    """An adapter changes nothing before its first step."""
    first = [row for row in rollouts_of(whole) if row["step"] == 1]
    requests = [
        Request(str(place), json.loads(row["messages"]), (place,), (sample_seed(str(SEED), "0", place),))
        for place, row in enumerate(first)
    ]
    engine = TransformersEngine(small_model, None, batch_size=len(first))
    drawn = engine.sample(requests, student(**SHARED).training.rollouts)
    by_place = {sample.index: sample for samples in drawn for sample in samples}
    for place, row in enumerate(first):
        assert (row["text"], row["finish_reason"]) == (by_place[place].text, by_place[place].finish_reason)


@pytest.mark.parametrize("name", NAMES)
def test_a_prompt_has_the_tokens_that_engines_ask_with(name):
    tokenizer, stops = tokenizer_with(name)
    trainer: KeptRollouts = KeptRollouts.__new__(KeptRollouts)
    trainer.targets = Targets(name, tokenizer, stops, {})
    asked = [row["messages"] for row in prompts(4)]
    tokens, images, fields = trainer._tokenize_prompts(asked)
    assert tokens == [Chat(tokenizer).prompt(json.loads(messages)) for messages in asked]
    assert (images, fields) == (None, {})


def killed(monkeypatch, point: str, step: int, model: Path, scratch: Path, saves: Saves, **settings: Any) -> None:
    """Train in a process that is killed at a point of a step."""
    with monkeypatch.context() as patch:
        patch.setitem(launching.PROCESSES, "grpo", DYING)
        patch.setenv("DIES", f"{point},{step}")
        with pytest.raises(TrainingDiedError, match="training ended with status -9"):
            train(model, scratch, saves=saves, **settings)


def ends_as(again: Trained, whole: Trained) -> None:
    """The same weights, bit for bit, the same curve, and the same rollouts, none twice and none missing."""
    assert files_of(again.folder) == files_of(whole.folder)
    assert again.history == whole.history
    assert again.facts == whole.facts
    assert rollouts_of(again) == rollouts_of(whole)
    assert {path.name for path in again.rollouts.iterdir()} == {path.name for path in whole.rollouts.iterdir()}


def resumed(scratch: Path) -> int | None:
    """Return the step that a training went on from, None where it began anew."""
    save = json.loads((scratch / "job.json").read_text())["resume"]
    return save and step_of(Path(save))


def test_a_training_that_is_killed_between_steps_that_share_rollouts_ends_as_one_that_was_not(
    whole, small_model, tmp_path, monkeypatch
):
    """Step 5 is not saved, since step 6 learns from the same rollouts: these are drawn once more, and kept once."""
    saves = Saves(tmp_path / "saves")
    killed(monkeypatch, "between two steps", 5, small_model, tmp_path / "killed", saves, **SHARED)
    assert [path.name for path in saves.folder.glob("step-*")] == ["step-4"]
    assert (saves.folder / "rollouts" / "step-000004-of-0.parquet").exists()
    again = train(small_model, tmp_path / "again", saves=saves, **SHARED)
    assert resumed(tmp_path / "again") == 4
    saves.remove()  # as once the checkpoint is an artifact, by whichever run
    ends_as(again, whole)


@slow
@pytest.mark.parametrize(
    "settings", [{}, {"lora": None}, {"processes": 2}], ids=["an adapter", "all weights", "two processes"]
)
def test_so_does_one_that_is_killed_wherever_it_is(small_model, tmp_path, monkeypatch, settings):
    settings = {**SHARED, **settings}
    uninterrupted = train(small_model, tmp_path / "whole", **settings)
    saves = Saves(tmp_path / "saves")
    for number, (point, step, from_step) in enumerate(KILLS):
        scratch = tmp_path / f"killed-{number}"
        killed(monkeypatch, point, step, small_model, scratch, saves, **settings)
        assert resumed(scratch) == from_step, point
    again = train(small_model, tmp_path / "again", saves=saves, **settings)
    assert resumed(tmp_path / "again") == 4
    ends_as(again, uninterrupted)


@slow
def test_two_processes_share_the_groups_and_each_keeps_its_rollouts(small_model, tmp_path):
    settings = {**SHARED, "epochs": 0.75, "batch_size": 24, "rows_at_once": 4}  # half of a group in either
    both = train(small_model, tmp_path / "both", processes=2, **settings)
    rollouts = rollouts_of(both)
    are_whole_groups(rollouts, **settings)
    assert Counter(row["rollout_id"].split("/")[1] for row in rollouts) == {"0": 24, "1": 24}
    of_step = [[row for row in rollouts if row["step"] == step] for step in (1, 3)]
    told = [row for row in both.history if row["reward"] is not None]
    for rows, row in zip(of_step, told, strict=True):
        assert row["reward"] == pytest.approx(fmean(one["reward"] for one in rows))
        assert row["no_answer"] == pytest.approx(fmean(one["verdict"] == "no answer" for one in rows))
        assert row["generated_tokens"] == pytest.approx(fmean(one["generated_tokens"] for one in rows))


@slow
def test_a_training_of_two_processes_goes_on_with_one(whole, small_model, tmp_path, monkeypatch):
    saves = Saves(tmp_path / "saves")
    point, settings = "rollouts half-written", {**SHARED, "processes": 2}
    killed(monkeypatch, point, 4, small_model, tmp_path / "killed", saves, **settings)
    again = train(small_model, tmp_path / "again", saves=saves, **SHARED)
    assert resumed(tmp_path / "again") == 4
    rollouts = rollouts_of(again)
    are_whole_groups(rollouts, **SHARED)
    assert [(row["step"], row["row_id"]) for row in rollouts] == [
        (row["step"], row["row_id"]) for row in rollouts_of(whole)
    ]
    assert {row["rollout_id"].split("/")[1] for row in rollouts if row["step"] == 5} == {"0"}
    texts = [[row["text"] for row in rows if row["step"] == 1] for rows in (rollouts, rollouts_of(whole))]
    assert texts[0] == texts[1]  # seeds know no process


@slow
def test_how_many_rows_are_computed_at_once_changes_no_rollout_of_the_first_steps(whole, small_model, tmp_path):
    fewer = train(small_model, tmp_path / "fewer", rows_at_once=8, **SHARED)
    assert rollouts_of(fewer)[:32] == rollouts_of(whole)[:32]
    assert [row["grad_norm"] for row in fewer.history][:2] == pytest.approx(
        [row["grad_norm"] for row in whole.history][:2], rel=1e-3
    )
