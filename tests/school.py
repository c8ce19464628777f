"""A whole small experiment through the real graph, with a scripted model: teacher, student, checkpoint and scores.

What is scripted is only what a model would write and what training would leave; every
artifact, grade and manifest is the real code's.
"""

import json
import random
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import MappingProxyType

import dagster as dg
import numpy as np
import pytest
from safetensors.numpy import save_file

from gsr_dagster.definitions import build_definitions
from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.experiment.keys import ArtifactKey, page_key
from gsr_dagster.experiment.settings import RolloutSettings
from gsr_dagster.method.judging import JUDGE_ROLE
from gsr_dagster.method.prompting.prompts import REFINE_ROLE, Message
from gsr_dagster.method.rows import Row
from gsr_dagster.operations.jobs import name_in_dagster
from gsr_dagster.operations.lanes import lanes
from resources.engines.base import Request, Sample
from resources.store.artifacts import ArtifactStore
from resources.training.trainer import Trained
from tests.running import recipe_of

STUDENT = "llama-student"
# Few, so that an artifact of samples has many shards.
SHARD_SAMPLES = 8
# How often a direct solution is right, and a refinement.
SKILLS = {"tiny": (0.5, 0.4), "big": (0.6, 0.95), "student": (0.7, 1.0)}
ROLLOUT = {"temperature": 0.7, "max_new_tokens": 64}
BENCHMARK = [(a, b) for a in range(3, 9) for b in range(11, 15)]
TRAINING = [(a, b) for a in range(21, 26) for b in range(31, 35)]


def judged_pair(chat: str) -> tuple[str, str]:
    """Return the reference answer and the answer that a judge's prompt shows."""
    reference = re.search(r"\nReference answer:\n(.*?)\n\nThe answer stands", chat, re.DOTALL)
    answer = re.search(r"\n(=== \w+ ===)\n(.*)\n\1\n", chat, re.DOTALL)
    assert reference, chat
    assert answer, chat
    return reference[1], answer[2]


class ScriptedEngine:
    """Adds two numbers, as right as its skills say; as a judge it compares texts."""

    context: int | None = None
    counts_by = "characters"
    notes = MappingProxyType({})

    def __init__(self, skills: tuple[float, float]):
        self.direct, self.refining = skills

    def prompt_tokens(self, messages: list[Message]) -> int:
        return sum(len(message["content"]) for message in messages)

    def sample(self, requests: Sequence[Request], settings: RolloutSettings) -> Iterator[list[Sample]]:
        for request in requests:
            chat = request.messages[-1]["content"]
            if chat.startswith(JUDGE_ROLE):
                gold, answer = judged_pair(chat)
                verdict = "correct" if answer == gold else "incorrect"
                yield [Sample(request.id, 0, request.seeds[0], f"It is {gold}.\nVerdict: {verdict}", "stop", 50, 5)]
                continue
            left, right = map(int, re.findall(r"What is (\d+) \+ (\d+)\?", chat)[0])
            skill = self.refining if chat.startswith(REFINE_ROLE) else self.direct
            yield [
                self._sample(request.id, *pair, left + right, skill)
                for pair in zip(request.indices, request.seeds, strict=True)
            ]

    @staticmethod
    def _sample(request: str, index: int, seed: int, right: int, skill: float) -> Sample:
        rng = random.Random(seed)
        answer = right if rng.random() < skill else right + rng.randint(1, 3)
        text = f"In attempt {rng.randint(0, 10**9)} the sum comes to a value. The answer is \\boxed{{{answer}}}."
        return Sample(request, index, seed, text, "stop", 50, 20)

    def tokenize(self, text: str) -> list[int]:
        return [ord(character) for character in text]

    def detokenize(self, tokens: list[int]) -> str:
        return "".join(map(chr, tokens))

    def close(self) -> None:
        pass


def scripted_engine(model, checkpoint: Path | None) -> ScriptedEngine:
    return ScriptedEngine(SKILLS["student" if checkpoint else Path(model.source).name])


def scripted_training(self, label, student, source, rows, seed, scratch: Path, **more) -> Trained:
    folder = scratch / "checkpoint"
    folder.mkdir()
    layer = "base_model.model.layers.0.q_proj"
    parts = {f"{layer}.lora_A.weight": np.ones((2, 4)), f"{layer}.lora_B.weight": np.full((4, 2), 0.1)}
    save_file({name: part.astype(np.float32) for name, part in parts.items()}, folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(json.dumps({"r": 2, "peft_type": "LORA"}))
    losses = [2.0, 1.5, 1.2, 1.1]
    history = [{"step": i, "epoch": 1.0, "loss": loss, "learning_rate": 1e-4} for i, loss in enumerate(losses, 1)]
    facts = {"cut_rows": 0, "dropped_rows": 0, "merged_kl": 0.01, "base_kl": 0.1}
    return Trained(folder, history, facts, scratch / "rollouts")


def play(patch: pytest.MonkeyPatch) -> None:
    """Put the scripted model, and its training, in the place of real ones."""
    patch.setattr("resources.engines.loading._engine", scripted_engine)
    patch.setattr("resources.training.trainer.Trainer.train", scripted_training)
    patch.setattr("assets.teaching.teacher_samples.refuse_untrainable", lambda source, template_kwargs: None)


def document(folder: Path) -> dict:
    """Write the models' and the problems' files into a folder, and return the experiment that names them."""
    for name in ("tiny", "big"):
        (folder / name).mkdir()
        (folder / name / "model.safetensors").write_bytes(name.encode())
    for name, pairs in (("benchmark", BENCHMARK), ("training", TRAINING)):
        rows = [{"id": f"{a}-{b}", "problem": f"What is {a} + {b}?", "answer": str(a + b)} for a, b in pairs]
        (folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return {
        "name": "school",
        "k": 2,
        "benchmarks": {"sums": {"source": f"file:{folder / 'benchmark.jsonl'}", "samples": 4}},
        "families": {"llama": {n: {"source": f"path:{folder / n}", "parameters": 1} for n in ("tiny", "big")}},
        "evaluation": {"direct": ROLLOUT, "refinement": ROLLOUT, "candidate_tokens": 100, "grader": "exact"},
        "training_problems": {
            "source": f"file:{folder / 'training.jsonl'}",
            "worked_examples": [{"problem": "What is 1 + 1?", "solution": "The answer is \\boxed{2}."}],
        },
        "students": {
            STUDENT: {
                "base": "llama-tiny",
                "teacher": "llama-big",
                **{
                    step: {"samples": n, **ROLLOUT}
                    for step, n in {"candidates": 3, "refinements": 3, "solutions": 2}.items()
                },
            }
        },
    }


class School:
    """The experiment in a store of its own. Its artifacts can be rewritten, and what then is checked or refused."""

    def __init__(self, written: dict, root: Path):
        self.written = written
        self.experiment = Experiment.model_validate(written)
        self.definitions = build_definitions(self.experiment)
        self.store = ArtifactStore(root=str(root))
        self.definitions.resources["store"] = self.store

    def copy(self, root: Path, **changes) -> "School":
        """Return the same in another folder, with parts of the experiment changed."""
        shutil.copytree(self.store.root, root)
        return School({**self.written, **changes}, root)

    def run_all(self) -> None:
        for lane in lanes(self.experiment):
            for partition in lane.partitions:
                result = self.definitions.resolve_job_def(
                    name_in_dagster(self.experiment, lane.name)
                ).execute_in_process(partition_key=partition or None)
                assert result.success

    def run(self, asset: str, partition: str) -> dg.ExecuteInProcessResult:
        lane = next(lane for lane in lanes(self.experiment) if asset in lane.assets)
        return self.definitions.resolve_job_def(name_in_dagster(self.experiment, lane.name)).execute_in_process(
            asset_selection=[page_key(self.experiment.name, asset)],
            partition_key=partition or None,
            raise_on_error=False,
        )

    def checks(self, asset: str, partition: str = STUDENT) -> dict[str, dg.AssetCheckEvaluation]:
        """Return what the checks of an artifact say; it is current, so nothing is made."""
        result = self.run(asset, partition)
        assert result.success
        return {check.check_name: check for check in result.get_asset_check_evaluations()}

    def refusal(self, asset: str, partition: str = STUDENT) -> str:
        """Return why an artifact is not made, once its manifest is gone."""
        (Path(self.store.root) / ArtifactKey(asset, partition).path / "manifest.json").unlink()
        result = self.run(asset, partition)
        assert not result.success
        (failure,) = [event for event in result.all_events if event.is_step_failure]
        error = failure.step_failure_data.error
        return (error.cause or error).message

    def rewrite(
        self, asset: str, partition: str, change: Callable[[list[Row]], list[Row]] = list, **summary: object
    ) -> None:
        """Publish an artifact again, by its own recipe, with its rows or its summary changed."""
        key = ArtifactKey(asset, partition)
        recipe, before = recipe_of(self.experiment, self.store, key), self.store.existing(key)
        shards = [self.store.put_shard(recipe, change(self.store.read(key)))]
        self.store.publish(recipe, shards, {**before.summary, **summary}, before.files, replaced=before)
