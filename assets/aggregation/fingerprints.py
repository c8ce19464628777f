"""What decides the fingerprints of aggregations: of each that the experiment names, and of the table of all."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from assets.evaluation.fingerprints import (
    CandidatePools,
    EvaluationStep,
    GapReports,
    GradedCandidates,
    SelfRefinements,
    model_settings,
    refinement_prompt_settings,
)
from gsr_dagster.experiment.aggregations.base import Aggregation
from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.experiment.keys import ArtifactKey, EvaluationKey, LaneName
from resources.grading.grader import grader_version
from resources.models.weights import weights_identity
from resources.store.artifacts import ArtifactStore
from resources.store.hashes import input_sha256


class NamedAggregation(EvaluationStep):
    """One named aggregation. Its settings hold nothing of the others, so that one more does not redo them."""

    def __init__(self, experiment: Experiment, lane: LaneName, name: str):
        self.name = f"aggregation/{name}"
        super().__init__(experiment, lane)
        self.aggregation = experiment.aggregations[name]

    def sampled(self, partition: str) -> str | None:
        if not self.aggregation.draws:
            return None
        return self.aggregation.refiner or SelfRefinements(self.experiment, self.lane).sampled(partition)

    def gpus(self, partition: str) -> int:
        return max(self.aggregation.gpus, super().gpus(partition))

    def upstream(self, partition: str) -> tuple[ArtifactKey, ...]:
        own = SelfRefinements(self.experiment, self.lane).upstream(partition)
        if self.aggregation.of_refinements:
            own = (*own, self.of(partition).artifact(GapReports.name))
        if self.aggregation.of_logprobs:
            own = (*own, self.of(partition).artifact(CandidatePools.name))
        return (*own, *_of_base(self, [self.aggregation], partition, GradedCandidates))

    def settings(self, store: ArtifactStore, partition: str) -> dict[str, Any]:
        fingerprints = StoredFingerprints(self.experiment, store, self.lane, partition)
        return {"kind": self.aggregation.kind, **self.aggregation.settings(fingerprints)}

    def wanted(self, partition: str) -> dict[str, Any]:
        return {**SelfRefinements(self.experiment, self.lane).wanted(partition), **self.aggregation.wanted()}


def _of_base(
    step: EvaluationStep, aggregations: Iterable[Aggregation], partition: str, *read: type[EvaluationStep]
) -> list[ArtifactKey]:
    """Return what is read of the evaluation of a student's base; nothing where no aggregation answers its groups."""
    if not any(aggregation.of_base for aggregation in aggregations):
        return []
    base = step.experiment.evaluation_of_base(step.of(partition))
    return [base.artifact(one.name) for one in read]


class Aggregations(EvaluationStep):
    """The table of all aggregations beside the vote."""

    name = "aggregations"

    @property
    def named(self) -> dict[str, NamedAggregation]:
        names = self.experiment.aggregations_of(self.lane)
        return {name: NamedAggregation(self.experiment, self.lane, name) for name in names}

    def upstream(self, partition: str) -> tuple[ArtifactKey, ...]:
        evaluation = self.of(partition)
        read = (evaluation.artifact(step.name) for step in (GradedCandidates, GapReports))
        named = self.named.values()
        of_base = _of_base(self, [step.aggregation for step in named], partition, GradedCandidates, GapReports)
        return (evaluation.problems, *read, *of_base, *(step.key(partition) for step in named))

    def settings(self, store: ArtifactStore, partition: str) -> dict[str, Any]:
        return {
            "aggregations": {name: step.recipe(store, partition).fingerprint for name, step in self.named.items()},
            "grader": grader_version(self.experiment.evaluation.grader),
            "report": GapReports(self.experiment, self.lane).recipe(store, partition).fingerprint,
        }

    def wanted(self, partition: str) -> dict[str, Any]:
        named = {name: step.wanted(partition) for name, step in self.named.items()}
        return {**GapReports(self.experiment, self.lane).wanted(partition), "aggregations": named}


def aggregation_steps(experiment: Experiment, lane: LaneName) -> list[EvaluationStep]:
    """Return the steps of a lane's aggregations, the table last; none where the experiment names no aggregation."""
    if not experiment.aggregations:
        return []
    table = Aggregations(experiment, lane)
    return [*table.named.values(), table]


class StoredFingerprints:
    """What pins the things that an aggregation is made from, as a store and the experiment have them."""

    def __init__(self, experiment: Experiment, store: ArtifactStore, lane: LaneName, partition: str):
        self.experiment = experiment
        self.store = store
        self.grader = grader_version(experiment.evaluation.grader)
        self._evaluation = EvaluationKey.parse(lane, partition)
        self._benchmark = experiment.benchmarks[self._evaluation.benchmark]
        self._refinement = SelfRefinements(experiment, lane).settings(store, partition)
        self.pool: str = self._refinement["pool"]

    @property
    def base_pool(self) -> str:
        base = self.experiment.evaluation_of_base(self._evaluation)
        return CandidatePools(self.experiment, base.lane).recipe(self.store, base.partition).fingerprint

    def self_refinement(self) -> dict[str, Any]:
        return dict(self._refinement)

    def refiner(self, model: str) -> dict[str, Any]:
        rollout = self.experiment.rollout("refinement", model)
        shown = refinement_prompt_settings(self._benchmark, of_student=False)
        return {"model": model_settings(self.experiment, model), "rollout": rollout.model_dump(), **shown}

    def direct_rollout(self) -> dict[str, Any]:
        return self.experiment.rollout("direct", self._evaluation.subject).model_dump()

    def weights(self, source: str) -> str:
        return weights_identity(source)

    def file(self, path: Path) -> str:
        return input_sha256(path)
