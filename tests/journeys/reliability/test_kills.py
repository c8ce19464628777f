"""`kill -9` at random moments of a run, again and again: what then stands is what an uninterrupted run leaves.

The figures of docs/reliability.md: GSR_RELIABILITY=1 pytest -s tests/journeys/reliability/test_kills.py
"""

import io
import random
import signal
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest
import yaml

from resources.store.artifacts import ArtifactStore
from resources.store.manifests import Manifest
from tests.journeys.conftest import ROLLOUT, experiment_document
from tests.journeys.reliability.forked import Forks
from tests.journeys.reliability.full_numbers import times
from tests.journeys.reliability.killing import Attempt, Moment, lose_the_local_disk

MOST_KILLS_A_JOURNEY = 20
SECONDS_TO_END = 600
SECONDS_TO_FOLLOW = 10
WORK = {
    "sampling": (
        "candidate_pools",
        "self_refinements",
        "training_candidates",
        "teacher_refinements",
        "teacher_solutions",
    ),
    "grading": ("graded_candidates", "gap_reports", "benchmark_problems", "training_problems"),
    "training": ("lora_checkpoints",),
}

Contents = dict[str, bytes]


def document(model: Path) -> dict:
    """An experiment whose pools, refinements and teacher's samples come to several shards each, the last one short."""
    written = experiment_document(model, samples=30)
    del written["ks"], written["aggregations"]
    written["families"]["llama"]["tiny"]["engine"] = {"kind": "transformers", "batch_size": 16}
    student = written["students"]["llama-student"]
    for part, samples in {"candidates": 9, "refinements": 9, "solutions": 7}.items():
        student[part] = {"samples": samples, **ROLLOUT}
    student["most_rows"] = 96
    student["training"]["save_minutes"] = 0
    return written


def standing(store: ArtifactStore) -> Contents:
    """Return every whole file of a store by its name: shards, manifests, checkpoints, reports."""
    return {name: store.objects.read(name) or b"" for name in store.objects.tree()}


def samples_in(contents: Contents, folder: str) -> list[tuple[str, int]]:
    """Return (prompt_id, sample_index) of every row in a folder's shards."""
    shards = [content for name, content in contents.items() if name.startswith(f"{folder}/shard-")]
    tables = [pq.read_table(io.BytesIO(shard), columns=["prompt_id", "sample_index"]).to_pylist() for shard in shards]
    return [(row["prompt_id"], row["sample_index"]) for rows in tables for row in rows]


def work(step: str) -> str:
    """Return what kind of work a step is."""
    asset = step.rpartition("__")[2]
    other = "other steps" if step else "between steps"
    return next((kind for kind, assets in WORK.items() if asset in assets), other)


@dataclass
class Reference:
    """An uninterrupted run: all that it left, when each step began, and how long all took, in seconds."""

    contents: Contents
    begun: dict[str, float]
    seconds: float

    @property
    def sampled(self) -> dict[str, str]:
        """The folder of every artifact of samples, by the artifact's name in the log."""
        found = (Manifest.decode(c) for name, c in self.contents.items() if name.endswith("manifest.json"))
        return {
            f"{m.asset}[{m.partition}]": "/".join([m.asset, *m.partition.split("|"), m.fingerprint])
            for m in found
            if "rollout" in m.settings
        }

    def moment(self, rng: random.Random, writing: bool, first: int) -> Moment:
        """Return a moment at random from the first step on: by time, or by step, since training takes longest."""
        spans = [end - start for start, end in pairwise([0.0, *self.begun.values(), self.seconds])]
        steps = range(first, len(self.begun))
        by_time, by_step = [spans[step + 1] for step in steps], [1] * len(steps)
        (step,) = rng.choices(steps, rng.choice([by_time, by_step]))
        return Moment(step, rng.uniform(0, spans[step + 1]), writing)


@dataclass
class Counted:
    """What was killed where, over all journeys of a harness."""

    kills: int = 0
    journeys: int = 0
    where: Counter[str] = field(default_factory=Counter)
    victims: Counter[str] = field(default_factory=Counter)
    half_written: int = 0
    tails_left: int = 0
    samples_kept: int = 0

    def __str__(self) -> str:
        where, victims = (", ".join(f"{n} {what}" for what, n in c.most_common()) for c in (self.where, self.victims))
        return (
            f"{self.kills} kills in {self.journeys} journeys: {where}. Killed: {victims}. {self.half_written} left a "
            f"half-written file, {self.tails_left} a tail of Dagster's. {self.samples_kept} samples of unfinished artifacts were found again and not drawn."
        )


class Killed:
    """Journeys of one experiment, killed over and over, with artifacts on the local disk or in a bucket."""

    def __init__(self, experiment: Path, folder: Path, reference: Reference, forks: Forks, environment: dict[str, str]):
        self.experiment = experiment
        self.forks = forks
        self.folder = folder
        self.reference = reference
        self.environment = environment
        self.on_s3 = "GSR_ARTIFACTS" in environment
        self.store = ArtifactStore(root=f"{environment.get('GSR_ARTIFACTS', folder / 'home' / 'artifacts')}/small")
        self.rng = random.Random(7)
        self.counted = Counted()
        self.contents: Contents = {}

    def journeys(self, kills: int, begun: Contents | None = None) -> None:
        """Run from what is begun, nothing by default, to the end, as often as so many kills take."""
        while self.counted.kills < kills:
            self._journey(min(MOST_KILLS_A_JOURNEY, kills - self.counted.kills), begun or {})
            print(self.counted)

    def _journey(self, kills: int, begun: Contents) -> None:
        for name in self.store.objects.tree():
            self.store.objects.remove(name)
        lose_the_local_disk(self.folder)
        for name, content in begun.items():
            self.store.objects.write(name, content)
        self.contents = begun
        self.counted.journeys += 1
        order = list(self.reference.begun)
        first = next(n for n, step in enumerate(order) if step.endswith("student__candidate_pools")) if begun else -1
        moments = [self.reference.moment(self.rng, n % 3 == 0 and not self.on_s3, first) for n in range(kills)]
        attempt = self._start()
        for moment in sorted(moments, key=lambda moment: (moment.step, moment.offset)):
            if attempt.reach(moment, order):
                self._kill(attempt, moment)
            if attempt.process.poll() not in (None, 0):
                attempt = self._again(attempt)
        while attempt.process.wait(SECONDS_TO_END) != 0:
            attempt = self._again(attempt)
        self._check(attempt)
        assert self.contents == self.reference.contents

    def _start(self) -> Attempt:
        if self.on_s3:
            lose_the_local_disk(self.folder)
        return Attempt(self.folder, self.experiment, self.environment, self.forks)

    def _again(self, attempt: Attempt) -> Attempt:
        killed = attempt.process.returncode == -signal.SIGKILL or attempt.lost_a_helper
        assert killed, attempt.output.read_text() + attempt.said[-3000:]
        self._check(attempt)
        return self._start()

    def _kill(self, attempt: Attempt, moment: Moment) -> None:
        step = attempt.step()
        victim = "everything" if moment.writing else self.rng.choice(["everything", "the run alone", "a helper"])
        if victim == "a helper":
            victim = attempt.kill_a_helper(self.rng) or "everything"
        if victim == "the run alone":
            attempt.kill_the_run_alone()
            _, left = psutil.wait_procs(attempt.processes(), SECONDS_TO_FOLLOW)
            # Dagster's mirror of a log: a kill between its start and its watcher's leaves it behind.
            tails = [process for process in left if process.name() == "tail"]
            assert left == tails, "what it had started lives on"
            for tail in tails:
                tail.kill()
            self.counted.tails_left += len(tails)
        if victim == "everything":
            attempt.kill_everything()
        self.counted.kills += 1
        self.counted.where[work(step)] += 1
        self.counted.victims[victim] += 1
        self.counted.half_written += bool(attempt.half_written())

    def _check(self, attempt: Attempt) -> None:
        """What stood before still stands; all that stands is the uninterrupted run's; nothing is there twice."""
        before, self.contents = self.contents, standing(self.store)
        assert before.items() <= self.contents.items(), "what was finished is gone, or is not what it was"
        assert self.contents.items() <= self.reference.contents.items(), "it is not what an uninterrupted run leaves"
        went_on_from = attempt.went_on_from()
        for artifact, folder in self.reference.sampled.items():
            drawn, kept = samples_in(self.contents, folder), samples_in(before, folder)
            assert len(drawn) == len(set(drawn)), "a sample is there twice"
            if kept and len(drawn) > len(kept):
                assert went_on_from.get(artifact) == len(kept), "samples of finished shards were drawn again"
                self.counted.samples_kept += len(kept)


@pytest.fixture(scope="module")
def forks() -> Iterator[Forks]:
    forks = Forks()
    yield forks
    forks.close()


@pytest.fixture(scope="module")
def experiment(small_model, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("killed") / "small.yaml"
    path.write_text(yaml.safe_dump(document(small_model)))
    return path


@pytest.fixture(scope="module")
def reference(experiment, forks, tmp_path_factory) -> Reference:
    """The experiment run once without a kill, on the local disk."""
    attempt = Attempt(tmp_path_factory.mktemp("uninterrupted"), experiment, {}, forks)
    assert attempt.process.wait(SECONDS_TO_END) == 0, attempt.output.read_text()
    events = attempt.events()
    contents = standing(ArtifactStore(root=str(attempt.home / "artifacts" / "small")))
    begun = {step: at for at, step, event in events if event == "STEP_START"}
    found = Reference(contents, begun, events[-1][0])
    assert all(len(samples_in(contents, folder)) > 256 for folder in found.sampled.values()), "one shard each"
    return found


@pytest.mark.skipif(not times(0, 1), reason="another whole run: GSR_RELIABILITY=1")
def test_the_command_as_a_user_starts_it_leaves_the_same(experiment, reference, tmp_path):
    attempt = Attempt(tmp_path, experiment, {})
    assert attempt.process.wait(SECONDS_TO_END) == 0, attempt.output.read_text()
    assert standing(ArtifactStore(root=str(attempt.home / "artifacts" / "small"))) == reference.contents


def test_a_run_killed_at_random_moments_ends_as_if_nothing_had_been(experiment, reference, forks, tmp_path):
    killed = Killed(experiment, tmp_path, reference, forks, {"GSR_CACHE": str(tmp_path / "cache")})
    killed.journeys(times(4, 100))


def test_so_it_does_with_artifacts_in_a_bucket_and_the_local_disk_lost_at_each_kill(
    experiment, reference, forks, tmp_path, s3_environment, monkeypatch
):
    """In the ordinary suite from the finished training on: its seconds are few."""
    for name, value in s3_environment.items():
        monkeypatch.setenv(name, value)
    environment = {**s3_environment, "GSR_ARTIFACTS": f"s3://artifacts/{uuid.uuid4()}"}
    killed = Killed(experiment, tmp_path, reference, forks, environment)
    trained = {name: content for name, content in reference.contents.items() if not name.startswith("student")}
    killed.journeys(times(2, 100), begun=trained if times(1, 0) else {})
