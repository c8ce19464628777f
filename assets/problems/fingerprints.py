"""What decides the fingerprints of problems: of each benchmark's, of the training problems, and of their overlaps."""

from typing import Any

from assets.steps import Step, UnpartitionedStep
from gsr_dagster.experiment.keys import BENCHMARK_PROBLEMS, CONTAMINATION, TRAINING_PROBLEMS, ArtifactKey
from gsr_dagster.experiment.problems.problem_sets import ProblemSet
from gsr_dagster.method.contamination import CONTAMINATION_VERSION
from resources.problems.sources import problem_set_identity
from resources.store.artifacts import ArtifactStore


class BenchmarkProblems(Step):
    asset = BENCHMARK_PROBLEMS

    @property
    def partitions(self) -> list[str]:
        return list(self.experiment.benchmarks)

    def upstream(self, partition: str) -> tuple[ArtifactKey, ...]:
        return ()

    def settings(self, store: ArtifactStore, partition: str) -> dict[str, Any]:
        return problem_set_identity(self.experiment.benchmarks[partition])

    def wanted(self, partition: str) -> dict[str, Any]:
        return {"problems": self.experiment.benchmarks[partition].problems}


class TrainingProblems(UnpartitionedStep):
    asset = TRAINING_PROBLEMS.asset

    @property
    def problem_set(self) -> ProblemSet:
        problem_set = self.experiment.training_problems
        assert problem_set is not None, "refused by the experiment file's checks"
        return problem_set

    def upstream(self, partition: str) -> tuple[ArtifactKey, ...]:
        return tuple(ArtifactKey(BENCHMARK_PROBLEMS, name) for name in self.experiment.benchmarks)

    def settings(self, store: ArtifactStore, partition: str) -> dict[str, Any]:
        return problem_set_identity(self.problem_set)

    def wanted(self, partition: str) -> dict[str, Any]:
        return {"problems": self.problem_set.problems}


class Contamination(UnpartitionedStep):
    asset = CONTAMINATION.asset

    def upstream(self, partition: str) -> tuple[ArtifactKey, ...]:
        return (TRAINING_PROBLEMS, *TrainingProblems(self.experiment).upstream(partition))

    def settings(self, store: ArtifactStore, partition: str) -> dict[str, Any]:
        return {
            "version": CONTAMINATION_VERSION,
            "problems": [store.content(key) for key in self.upstream(partition)],
        }
