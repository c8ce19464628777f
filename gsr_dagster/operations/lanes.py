"""The lanes of an experiment: steps that share their partitions, in the order in which they are made."""

from collections.abc import Sequence
from dataclasses import dataclass

from assets.aggregation.fingerprints import aggregation_steps
from assets.evaluation.fingerprints import evaluation_steps
from assets.problems.fingerprints import BenchmarkProblems, Contamination, TrainingProblems
from assets.reports.fingerprints import report_steps
from assets.steps import Step
from assets.teaching.fingerprints import teaching_steps
from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.experiment.keys import ArtifactKey, LaneName
from resources.store.artifacts import ArtifactStore


@dataclass(frozen=True)
class Lane:
    """Steps that share their partitions, in the order in which they are made; and the keys of their partitions."""

    name: str
    steps: tuple[Step, ...]
    partitions: tuple[str, ...]

    @property
    def assets(self) -> list[str]:
        return [step.asset for step in self.steps]

    def keys(self, partition: str) -> list[ArtifactKey]:
        """Return the lane's artifacts of one partition."""
        return [step.key(partition) for step in self.steps]

    def upstream(self, partition: str) -> set[ArtifactKey]:
        """Return what a partition is made from, of other lanes."""
        return {key for step in self.steps for key in step.upstream(partition)} - set(self.keys(partition))

    def stale(self, store: ArtifactStore, partition: str) -> list[ArtifactKey]:
        """Return the artifacts of a partition that are not current, and all that come after the first of them."""
        for index, step in enumerate(self.steps):
            if store.current(step.recipe(store, partition)) is None:
                return self.keys(partition)[index:]
        return []


def lanes(experiment: Experiment) -> list[Lane]:
    """Return the lanes of an experiment, upstream first; those without partitions are left out."""
    problems = BenchmarkProblems(experiment)
    training = [TrainingProblems(experiment), Contamination(experiment)] if experiment.training_problems else []
    every = [
        Lane("benchmarks", (problems,), tuple(problems.partitions)),
        Lane("training_problem_set", tuple(training), ("",) if training else ()),
        _evaluation_lane(experiment, "base"),
        Lane("teaching", tuple(teaching_steps(experiment)), tuple(experiment.students)),
        _evaluation_lane(experiment, "student"),
        Lane("reports", tuple(report_steps(experiment)), ("",)),
    ]
    return [lane for lane in every if lane.partitions]


def all_steps(experiment: Experiment) -> dict[str, Step]:
    """Return every step of an experiment by its asset, upstream first."""
    return {step.asset: step for lane in lanes(experiment) for step in lane.steps}


def _evaluation_lane(experiment: Experiment, lane: LaneName) -> Lane:
    """Return an evaluation lane, a subject's partitions together: its model is loaded once for all of them."""
    steps: Sequence[Step] = [*evaluation_steps(experiment, lane), *aggregation_steps(experiment, lane)]
    order = list(experiment.subjects(lane))
    evaluations = sorted(experiment.evaluations(lane), key=lambda evaluation: order.index(evaluation.subject))
    return Lane(f"{lane}_evaluation", tuple(steps), tuple(evaluation.partition for evaluation in evaluations))
