"""The lanes of an experiment: steps that share their partitions, in the order in which they are made."""

from collections.abc import Sequence
from dataclasses import dataclass

from assets.aggregation.fingerprints import aggregation_steps
from assets.evaluation.fingerprints import evaluation_steps
from assets.judging.fingerprints import judge_steps
from assets.problems.fingerprints import BenchmarkProblems, Contamination, TrainingProblems
from assets.reports.fingerprints import report_steps
from assets.steps import Step
from assets.teaching.fingerprints import teaching_steps
from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.experiment.keys import ArtifactKey, EvaluationKey, LaneName
from resources.store.artifacts import ArtifactStore


@dataclass(frozen=True)
class Lane:
    """Steps that share their partitions, in the order in which they are made; and the keys of their partitions."""

    name: str
    steps: tuple[Step, ...]
    partitions: tuple[str, ...]
    # The round of its students, 1 where it has none.
    round: int = 1

    @property
    def assets(self) -> list[str]:
        return [step.asset for step in self.steps]

    def keys(self, partition: str) -> list[ArtifactKey]:
        """Return the lane's artifacts of one partition."""
        return [step.key(partition) for step in self.steps]

    def gpus(self, partition: str) -> int:
        """Return how many GPUs of a machine a run of one partition asks for, where there are any."""
        return max(step.gpus(partition) for step in self.steps)

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
        *(lane for round_number in experiment.rounds for lane in _of_round(experiment, round_number)),
        Lane("reports", tuple(report_steps(experiment)), ("",)),
    ]
    return [lane for lane in every if lane.partitions]


def all_steps(experiment: Experiment) -> dict[str, Step]:
    """Return every step of an experiment by its asset, upstream first."""
    return {step.asset: step.of_round(None) for lane in lanes(experiment) for step in lane.steps}


def _of_round(experiment: Experiment, round_number: int) -> list[Lane]:
    """Return the lanes of the students of a round: their teaching and their evaluation."""
    every = [step.of_round(round_number) for step in teaching_steps(experiment)]
    steps = [step for step in every if step.partitions]  # no teacher, where all learn from rewards
    name = "teaching" if round_number == 1 else f"teaching_round_{round_number}"
    taught = Lane(name, tuple(steps), tuple(experiment.rounds[round_number]), round_number)
    return [taught, _evaluation_lane(experiment, "student", round_number)]


def _evaluation_lane(experiment: Experiment, lane: LaneName, round_number: int = 1) -> Lane:
    """Return an evaluation lane, a subject's partitions together: its model is loaded once for all of them."""
    every: Sequence[Step] = [
        *evaluation_steps(experiment, lane),
        *aggregation_steps(experiment, lane),
        *judge_steps(experiment, lane),
    ]
    steps = [step.of_round(round_number) for step in every]
    order = list(experiment.subjects(lane))
    evaluations = [EvaluationKey.parse(lane, partition) for partition in steps[0].partitions]
    evaluations = sorted(evaluations, key=lambda evaluation: order.index(evaluation.subject))
    name = f"{lane}_evaluation" if round_number == 1 else f"{lane}_evaluation_round_{round_number}"
    return Lane(name, tuple(steps), tuple(evaluation.partition for evaluation in evaluations), round_number)
