"""Recorded samples that a student of the paper's learns from, made up by a seed: what `bench.scale` teaches with.

There are two recorded models, one that gave the candidates and the teacher; the student's base is a tokenizer beside a
single weight, since nothing samples or trains it. Files are as `gsr record` writes them, with the hash of the chat that
each sample answers: the recorded engine refuses samples of another one.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from bench.grid import CHARACTERS_A_TOKEN, Recorder, paper, sample_file, say, shared, write_document, write_problems
from bench.grid_texts import Problem, Writer, made_problem
from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.experiment.students import Student
from gsr_dagster.method.groups import groups_for_training
from gsr_dagster.method.prompting.prompts import Message, direct_messages, refinement_messages, summarise
from gsr_dagster.method.rows import Row
from resources.engines.base import chat_sha256
from resources.models.weights import PLAIN_CHAT

SET = "training"  # what the product calls the training problems
BENCHMARK = 30  # problems that they are held against
SAMPLER = "recorded"  # the scale of the model that gave the candidates
CANDIDATE = (1800, 2200)  # characters
OF_THE_TEACHER = (9500, 10500)
PROBLEMS_BETWEEN_LINES = 2000
HASHED = {"prompt_sha256": pa.string(), "student_chat": pa.string(), "student_prompt_tokens": pa.int64()}


@dataclass(frozen=True)
class Teaching:
    """What the paper's first student learns from, on so many training problems."""

    problems: int
    seed: int

    @property
    def size(self) -> str:
        _, student = self.student(paper())
        numbers = {
            name: self.problems * getattr(student, name).samples for name in ("candidates", "refinements", "solutions")
        }
        return f"{self.problems:,} problems, " + ", ".join(f"{number:,} {name}" for name, number in numbers.items())

    @staticmethod
    def student(asked: Experiment) -> tuple[str, Student]:
        return next(iter(asked.students.items()))

    def write(self, folder: Path) -> None:
        """Write the training problems, the samples of both models, and the base."""
        asked, writer = paper(), Writer(self.seed)
        _, student = self.student(asked)
        sampler = Recorder(asked.models[student.sampler], writer, CANDIDATE)
        teacher = Recorder(asked.models[student.refiner], writer, OF_THE_TEACHER)
        with (
            sample_file(folder / "candidates", HASHED, asked.k) as drawn,
            sample_file(folder / "teacher", HASHED, asked.k) as taught,
        ):
            for number, problem in enumerate(self._training_problems(), start=1):
                rng = random.Random(f"{self.seed}:{SET}:{problem.id}")
                candidates = sampler.solutions(rng, problem, student.candidates.samples)
                shown = _shown(asked, problem, candidates)
                solutions = teacher.solutions(rng, problem, student.solutions.samples)
                refinements = teacher.refinements(rng, problem, shown, student.refinements.samples)
                summaries = [summarise(row["text"], sampler.model.thinking_end) or "" for row in shown]
                direct = _beside(direct_messages(problem.text))
                drawn.add(problem.id, "", candidates, **direct)
                taught.add(problem.id, "", solutions, **direct)
                taught.add(problem.id, "/g0", refinements, **_beside(refinement_messages(problem.text, summaries)))
                if number % PROBLEMS_BETWEEN_LINES == 0:
                    say(f"made what is taught of {number:,} of {self.problems:,} problems")
        write_problems(folder / f"{SET}.jsonl", self._training_problems())
        write_problems(folder / "benchmark.jsonl", (made_problem(self.seed, "new", n, 0.0) for n in range(BENCHMARK)))
        _write_base(folder / "base")
        write_document(folder / "experiment.yaml", self._document(folder, asked))

    def _training_problems(self) -> Iterator[Problem]:
        return (made_problem(self.seed, SET, number, 0.0) for number in range(self.problems))

    def _document(self, folder: Path, asked: Experiment) -> dict[str, Any]:
        name, student = self.student(asked)
        of_base, of_teacher = asked.family(student.base), asked.family(student.refiner)
        base = {"source": f"path:{folder / 'base'}", "parameters": asked.models[student.base].parameters}
        families: dict[str, dict[str, Any]] = {of_base: {student.base.removeprefix(f"{of_base}-"): base}}
        families[of_base][SAMPLER] = _recorded("candidates")
        end = {"thinking_end": asked.models[student.refiner].thinking_end}
        families.setdefault(of_teacher, {})[student.refiner.removeprefix(f"{of_teacher}-")] = _recorded("teacher") | end
        learned = {"candidates", "refinements", "solutions", "keep_when_all_correct", "prompt_tokens"}
        roles = {"base": student.base, "teacher": student.refiner, "candidates_from": f"{of_base}-{SAMPLER}"}
        return {
            "name": "scale-teaching",
            **shared(asked),
            "families": families,
            "benchmarks": {"new": {"source": "file:benchmark.jsonl", "samples": asked.k}},
            "training_problems": {"source": f"file:{SET}.jsonl", "problems": self.problems},
            "students": {name: roles | student.model_dump(mode="json", include=learned)},
        }


def _recorded(folder: str) -> dict[str, Any]:
    return {"engine": {"kind": "recorded", "path": folder}, "evaluate": False}


def _shown(asked: Experiment, problem: Problem, candidates: Sequence[Row]) -> list[Row]:
    """Return the candidates that the teacher is shown: those that the product will choose."""
    rng = random.Random(f"{asked.seed}:{SET}/{problem.id}")
    (chosen,) = groups_for_training([row["label"] == 1 for row in candidates], asked.k, 1, rng)
    return [candidates[index] for index in chosen]


def _beside(messages: list[Message]) -> Row:
    """Return what stands beside the samples of a chat that the student sees as its teacher did."""
    tokens = sum(len(message["content"]) for message in messages) // CHARACTERS_A_TOKEN
    chat = chat_sha256(messages)
    return {"prompt_sha256": chat, "student_chat": chat, "prompt_tokens": tokens, "student_prompt_tokens": tokens}


def _write_base(folder: Path) -> None:
    """Write a tokenizer of single bytes with a chat template, and a weight: what must be there before a student is taught."""
    import numpy as np
    from safetensors.numpy import save_file
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer: Any = Tokenizer(models.BPE({byte: number for number, byte in enumerate(sorted(alphabet))}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|end|>")
    fast.chat_template = PLAIN_CHAT
    fast.save_pretrained(folder)
    save_file({"weight": np.zeros(1, np.float32)}, folder / "model.safetensors")
