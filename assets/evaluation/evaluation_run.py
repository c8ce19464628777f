"""The evaluation of one subject on one benchmark, while its artifacts are made."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from assets.evaluation.subjects import loader_of
from assets.grading import scored
from assets.recorded_pools import Available, available
from gsr_dagster.experiment.experiment import Experiment, Model, Stage
from gsr_dagster.experiment.keys import EvaluationKey
from gsr_dagster.experiment.problems.problem_sets import Benchmark
from gsr_dagster.experiment.settings import RolloutSettings
from gsr_dagster.method.candidate_pool import CandidatePool
from gsr_dagster.method.prompting.prompts import Message, direct_messages
from gsr_dagster.method.rows import Row
from resources.engines.base import Engine
from resources.engines.loading import Engines
from resources.store.artifacts import ArtifactStore


@dataclass(frozen=True)
class EvaluationRun:
    """A subject on a benchmark: what the experiment says of it, and what the store holds of it."""

    experiment: Experiment
    store: ArtifactStore
    key: EvaluationKey

    def of_base(self) -> "EvaluationRun":
        """Return the evaluation of a student's base on the same benchmark."""
        return replace(self, key=self.experiment.evaluation_of_base(self.key))

    @property
    def subject(self) -> str:
        return self.key.subject

    @property
    def model(self) -> Model:
        """The subject's model; a student's is its base, with the student's way to end its thinking."""
        return self.experiment.subject_model(self.subject)

    @property
    def benchmark(self) -> Benchmark:
        return self.experiment.benchmarks[self.key.benchmark]

    def rollout(self, stage: Stage) -> RolloutSettings:
        return self.experiment.rollout(stage, self.subject)

    @property
    def available(self) -> Available:
        """What can be had of the subject here: where its samples are recorded, no more than those."""
        return available(self.experiment, self.key)

    def problems(self) -> list[Row]:
        """Return the benchmark's problems."""
        return self.store.read(self.key.problems)

    def read(self, name: str) -> list[Row]:
        """Return the rows of one of this evaluation's artifacts, as in ``read("graded_candidates")``."""
        return self.store.read(self.key.artifact(name))

    def rows(self, name: str, *columns: str) -> Iterator[Row]:
        """Yield the rows of one of this evaluation's artifacts, with some of their columns."""
        return self.store.rows(self.key.artifact(name), *columns)

    def direct_chat(self, problem: Row) -> list[Message]:
        """Return the chat that asks for a direct solution, after the worked examples that the subject sees."""
        shown = self.benchmark.examples(self.key.is_student)
        return direct_messages(problem["problem"], shown, self.experiment.prompts.ask_direct)

    def engine(self, engines: Engines) -> Callable[[], Engine]:
        """Return what loads the subject's engine, a student's with its checkpoint."""
        return loader_of(self.experiment, self.store, engines, self.subject)

    def pool(self, graded: Sequence[Row], k: int | None = None) -> CandidatePool:
        """Return graded candidates in their groups; those of a further size ``k`` carry it in their ids."""
        label = self.subject if k is None else f"{self.subject}/k{k}"
        return CandidatePool.of(label, graded, k or self.experiment.k, self.experiment.seed)

    def scored_pool(self) -> CandidatePool:
        """Return the stored candidates of the problems that can be scored, in their groups."""
        return self.pool(scored(self.read("graded_candidates")))
