"""What answers: a student that is trained, or a model, of an experiment, by its engine."""

from collections.abc import Callable
from dataclasses import dataclass

from assets.evaluation.fingerprints import checkpoint_key
from assets.evaluation.subjects import loader_of
from gsr_dagster.experiment.engines import OpenAI, RecordedSamples
from gsr_dagster.experiment.errors import UserError
from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.experiment.problems.datasets import Domain
from gsr_dagster.operations.lanes import lanes
from resources.engines.base import Engine
from resources.engines.loading import Engines
from resources.problems.sources import domain_of
from resources.store.artifacts import ArtifactStore


class SubjectError(UserError, ValueError):
    """A model or student that cannot answer; the message says why, and what to do."""


@dataclass(frozen=True)
class Subject:
    """A model or student, and its engine."""

    experiment: Experiment
    name: str
    engine: Engine

    @property
    def thinking_end(self) -> str | None:
        return self.experiment.thinking_end(self.name)

    @property
    def domain(self) -> Domain:
        """How answers are read where a request does not say it: as in all benchmarks, or as mathematics where they differ."""
        domains: set[Domain] = {domain_of(benchmark) for benchmark in self.experiment.benchmarks.values()}
        return domains.pop() if len(domains) == 1 else "math"


def outdated(experiment: Experiment, store: ArtifactStore, student: str) -> bool:
    """Return whether gsr run would train a student again, since the experiment file or what it learned from has changed."""
    taught = [lane for lane in lanes(experiment) if checkpoint_key(student) in lane.keys(student)]
    return any(lane.stale(store, student) for lane in taught if student in lane.partitions)


def answering(experiment: Experiment, store: ArtifactStore, name: str) -> Callable[[], Engine]:
    """Return what loads the engine of a model or student, as the evaluation does. Raises SubjectError."""
    engine = experiment.subject_model(name).engine
    if isinstance(engine, RecordedSamples):
        raise SubjectError(
            f"{name} is recorded: its engine holds samples of certain problems, and can answer no other. Give the model "
            "an engine that samples, such as {kind: openai, …}, or a source of weights and no engine"
        )
    if isinstance(engine, OpenAI) and engine.mode == "batch":
        raise SubjectError(
            f"{name} is asked in batches, which take hours: write mode: requests in its engine, or leave it out"
        )
    if name in experiment.students and store.manifest(checkpoint_key(name)) is None:
        raise SubjectError(f"{name} is not trained yet: gsr run trains it")
    return loader_of(experiment, store, Engines(), name)
