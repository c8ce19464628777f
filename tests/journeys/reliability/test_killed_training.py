"""`kill -9` at random moments of a training, again and again: it goes on from its last saved step, to the same weights.

The figures of docs/reliability.md: GSR_RELIABILITY=1 pytest -s tests/journeys/reliability/test_killed_training.py
"""

import contextlib
import json
import multiprocessing
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from resources.training.saves import Saves, step_of
from resources.training.trainer import Trained, TrainingDiedError
from tests.journeys.reliability.full_numbers import times
from tests.resources.training import lessons
from tests.resources.training.lessons import files_of
from tests.resources.training.reinforcement import practice

SETTINGS = {"epochs": 20, "save_minutes": 0}
STEPS = 60
# By rewards: as many steps, each two of which share their rollouts.
BY_REWARDS = {"epochs": 15, "num_iterations": 2}
DIED = 3  # how a run ends whose training process was killed
PICKLED = {".pt", ".pth", ".bin", ".pkl"}


class Killed:
    """One training, killed over and over until it is done."""

    def __init__(self, train: Callable[..., Trained], model: Path, folder: Path, settings: dict):
        self.train, self.model, self.folder, self.settings = train, model, folder, {**SETTINGS, **settings}
        self.saves = Saves(folder / "saves")
        self.rng = random.Random(7)
        self.where: Counter[str] = Counter()
        self.victims: Counter[str] = Counter()
        self.kept = 0

    def attempt(self, number: int, kill: bool) -> bool:
        """Train, and kill at a moment at random. Return whether the training was done before."""
        scratch = self.folder / f"attempt-{number}"
        arguments = {"model": self.model, "scratch": scratch, "saves": self.saves, **self.settings}
        run = multiprocessing.get_context("fork").Process(target=self._train, args=(scratch, arguments))
        newest = self._newest()
        run.start()
        if not kill or not self._reached(run, newest):
            run.join()
            assert run.exitcode == 0, (scratch / "output.log").read_text()[-3000:]
            return True
        family = psutil.Process(run.pid).children(recursive=True)
        victim = self.rng.choice(["the run alone", "a training process", "everything"])
        victims = {
            "the run alone": [psutil.Process(run.pid)],
            "a training process": [self.rng.choice(family)] if family else [],
            "everything": [psutil.Process(run.pid), *family],
        }[victim]
        self.where["loading" if self._newest() == newest else "training"] += 1
        self.where["half-written"] += any(self.saves.folder.glob(".writing-*"))
        self.victims[victim] += 1
        for process in victims:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        run.join()
        _, alive = psutil.wait_procs(family, 20)
        assert not alive, "what it had started lives on"
        assert run.exitcode in (0, DIED, -signal.SIGKILL), (scratch / "output.log").read_text()[-3000:]
        self._check(scratch, newest)
        return run.exitcode == 0

    def _train(self, scratch: Path, arguments: dict) -> None:
        try:
            trained = self.train(**arguments)
        except TrainingDiedError:
            os._exit(DIED)
        done = {name: content.hex() for name, content in result_of(trained).items()}
        (scratch / "done.json").write_text(json.dumps([done, trained.history, trained.facts]))
        os._exit(0)

    def _reached(self, run, newest: int) -> bool:
        """Wait for a moment: while the model is loaded, after so many more steps, or as a step is half-written."""
        kind = self.rng.choice(["by time", "by step", "half-written"])
        more, seconds = newest + self.rng.randint(1, 8), self.rng.uniform(0, 12)
        end = time.monotonic() + seconds
        while run.is_alive():
            if kind == "by time" and time.monotonic() > end:
                return True
            if kind == "by step" and self._newest() >= min(more, STEPS - 2):
                time.sleep(self.rng.uniform(0, 0.1))
                return run.is_alive()
            if kind == "half-written" and self._newest() > newest and any(self.saves.folder.glob(".writing-*")):
                return True
            time.sleep(0.0005)
        return False

    def _newest(self) -> int:
        return max((step_of(path) for path in self.saves.folder.glob("step-*")), default=0)

    def _check(self, scratch: Path, newest: int) -> None:
        """What stands is whole, bounded and no pickle, and the attempt went on from what stood before it."""
        assert self._newest() >= newest
        assert len(list(self.saves.folder.glob("step-*"))) <= 2
        assert not [path.name for path in self.saves.folder.rglob("*") if path.suffix in PICKLED]
        if (scratch / "job.json").exists() and newest:
            try:
                resumed = json.loads((scratch / "job.json").read_text())["resume"]
            except json.JSONDecodeError:
                return  # killed as it was written
            assert step_of(Path(resumed)) == newest
            self.kept += newest


def result_of(trained: Trained) -> dict[str, bytes]:
    """Return the files of a checkpoint, and of its rollouts where it learned from rewards."""
    return files_of(trained.folder) | (files_of(trained.rollouts) if trained.rollouts.exists() else {})


@pytest.mark.skipif(not times(0, 1), reason="tests/resources/training/test_saves.py kills once: GSR_RELIABILITY=1")
@pytest.mark.parametrize(
    ("train", "settings", "kills"),
    [
        (lessons.train, {}, 80),
        (lessons.train, {"processes": 2}, 20),
        (practice.train, BY_REWARDS, 20),
    ],
    ids=["one process", "two processes", "by rewards"],
)
def test_a_training_killed_over_and_over_ends_with_the_weights_of_one_that_was_not(
    small_model, tmp_path, train, settings, kills
):
    whole = train(small_model, tmp_path / "whole", **{**SETTINGS, **settings})
    assert whole.history[-1]["step"] == STEPS
    killed = Killed(train, small_model, tmp_path, settings)
    number, done = 0, False
    while (left := kills - sum(killed.victims.values())) > 0 or not done:
        if done:  # it was too fast for so many: once more from the start
            killed.saves.remove()
        done = killed.attempt(number, kill=left > 0)
        if done:
            files, history, facts = json.loads((tmp_path / f"attempt-{number}" / "done.json").read_text())
            assert {name: bytes.fromhex(content) for name, content in files.items()} == result_of(whole)
            assert history == whole.history
            assert facts == whole.facts
        number += 1
    print(
        f"{sum(killed.victims.values())} kills: {dict(killed.where)}; {dict(killed.victims)}; "
        f"{killed.kept} steps of killed trainings were found again and not computed"
    )
