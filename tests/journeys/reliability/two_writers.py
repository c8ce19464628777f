"""Pairs of processes that make one artifact at once: test_two_writers.py starts it, and says what must hold.

main() takes FOLDER ROOT ROUNDS SCHOOL from the command line and prints a JSON line a
round. Both processes have looked at the store and begun their work before either goes on.
SCHOOL holds a finished school (written.json and its store), whose checkpoint is made again.
"""

import json
import multiprocessing
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.experiment.keys import ArtifactKey
from resources.engines.loading import Engines
from resources.store.artifacts import ArtifactStore
from resources.store.errors import ArtifactError
from resources.training.trainer import Trained
from tests import school
from tests.running import run_experiment

FORK = multiprocessing.get_context("fork")
SECONDS_TO_MEET = 60
POOL = ArtifactKey("base/candidate_pools", "sums|llama-tiny")
CHECKPOINT = ArtifactKey("lora_checkpoints", school.STUDENT)
# What is made, and how the second run differs: another machine writes other texts and weights with the same seeds.
KINDS = (
    ("samples", "nothing"),
    ("samples", "machine"),
    ("samples", "wanted"),
    ("checkpoint", "nothing"),
    ("checkpoint", "machine"),
    ("samples", "temperature"),
    ("gsr run", "nothing"),
    ("gsr run", "wanted"),
)


class Work:
    """One of two runs: what it is to make, on which machine, in which store; it begins when the other does."""

    def __init__(self, written: dict, root: str, machine: str = "", barrier: Any = None):
        self.written = written
        self.root = root
        self.machine = machine
        self.barrier = barrier

    def meet(self) -> None:
        if self.barrier:
            self.barrier.wait(SECONDS_TO_MEET)
            self.barrier = None

    def do(self, what: str) -> None:
        """Make the samples or the checkpoint as a run on the page does, or all that gsr run makes."""
        Engines().release()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("resources.engines.loading._engine", lambda *_: MeetingEngine(self))
            patch.setattr("resources.training.trainer.Trainer.train", self.train)
            patch.setattr("assets.teaching.teacher_samples.refuse_untrainable", lambda source, template_kwargs: None)
            patch.setenv("GSR_ARTIFACTS", self.root)
            if what == "gsr run":
                experiment = Experiment.model_validate(self.written)
                run_experiment(experiment, store(self.root), Console(file=sys.stderr))
            else:
                self.materialize(POOL if what == "samples" else CHECKPOINT)

    def materialize(self, key: ArtifactKey) -> None:
        made = school.School(self.written, Path(self.root))
        made.definitions.resources["store"] = store(self.root)
        result = made.run(key.asset, key.partition)
        if not result.success:
            raise ArtifactError([e.step_failure_data for e in result.all_events if e.is_step_failure])

    def train(self, *arguments: Any, **settings: Any) -> Trained:
        self.meet()
        trained = school.scripted_training(None, *arguments, **settings)
        (trained.folder / "adapter_config.json").write_text(json.dumps(self.machine))
        return trained


class MeetingEngine(school.ScriptedEngine):
    """Writes what its machine does with a seed, once the other run has an engine too."""

    def __init__(self, work: Work):
        super().__init__(school.SKILLS["tiny"])
        self.work = work

    def sample(self, requests, settings):
        self.work.meet()
        for samples in super().sample(requests, settings):
            yield [replace(sample, text=self.work.machine + sample.text) for sample in samples]


def at_once(works: list[Callable[[], None]]) -> list[str]:
    """Do each in a process of its own, and return how each ended: "", or its error."""
    ends = [FORK.Pipe(duplex=False) for _ in works]

    def report(number: int) -> None:
        try:
            works[number]()
            ends[number][1].send("")
        except Exception as error:
            ends[number][1].send(f"{type(error).__name__}: {error}")

    processes = [FORK.Process(target=report, args=(number,)) for number in range(len(works))]
    for process in processes:
        process.start()
    told = [receiving.recv() if receiving.poll(2 * SECONDS_TO_MEET) else "silent" for receiving, _ in ends]
    for process in processes:
        process.join(SECONDS_TO_MEET)
    return told


def state(root: str, what: str) -> dict:
    """Return what stands at an artifact's place, and all damage of its store."""
    there = store(root)
    if what == "checkpoint":
        key, holds = CHECKPOINT, json.loads((there.local_files(CHECKPOINT) / "adapter_config.json").read_text())
    else:
        key, holds = POOL, sorted((row["candidate_id"], row["text"]) for row in there.read(POOL))
    return {
        "version": there.data_version(key),
        "holds": holds,
        "damage": [fault for _, fault in there.verified.damage()],
    }


def store(root: str) -> ArtifactStore:
    return ArtifactStore(root=f"{root}/school")


def small(folder: Path, samples: int = 4, temperature: float = 0.7) -> dict:
    """Return the school's experiment with one model and no student."""
    folder.mkdir(parents=True)
    written = school.document(folder)
    del written["students"], written["training_problems"], written["families"]["llama"]["big"]
    written["benchmarks"]["sums"]["samples"] = samples
    written["evaluation"]["direct"] = {**school.ROLLOUT, "temperature": temperature}
    return written


def untrained(finished: Path, root: str) -> None:
    """Copy a finished school's store but for its checkpoint."""
    old, new = ArtifactStore(root=f"{finished}/artifacts").objects, store(root).objects
    for name in old.tree():
        if not name.startswith(CHECKPOINT.path) and (path := old.local(name)):
            new.upload(name, path)


def rounds(folder: Path, root: str, count: int, finished: Path) -> Iterator[dict]:
    taught = json.loads((finished / "written.json").read_text())
    documents = {
        "nothing": small(folder / "nothing"),
        "wanted": small(folder / "wanted", samples=6),
        "temperature": small(folder / "temperature", temperature=1.0),
    }
    kinds = KINDS[:count]
    alone = {}
    for number in range(-len(kinds), count):
        what, differs = kinds[number % len(kinds)]
        plain = taught if what == "checkpoint" else documents["nothing"]
        machine = "another " if differs == "machine" else ""
        second = Work(plain if what == "checkpoint" else documents.get(differs, plain), f"{root}/{number}", machine)
        if what == "checkpoint":
            untrained(finished, second.root)
        elif what == "samples":
            second.materialize(ArtifactKey("benchmark_problems", "sums"))
        if number < 0:  # what it makes undisturbed
            second.do(what)
            alone[what, differs] = state(second.root, what)
            continue
        barrier = FORK.Barrier(2)
        pair = [Work(plain, second.root, "", barrier), Work(second.written, second.root, machine, barrier)]
        told = at_once([partial(work.do, what) for work in pair])
        after = state(second.root, what)
        second.do(what)
        yield {
            "kind": [what, differs],
            "told": told,
            "after": after,
            "again": state(second.root, what),
            "alone": [alone[what, "nothing"], alone[what, differs]],
        }


def main() -> None:
    for result in rounds(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), Path(sys.argv[4])):
        print(json.dumps(result), flush=True)
