"""What decides the fingerprints of the reports, which are made from the gap reports of all models and students."""

from typing import Any

from assets.aggregation.fingerprints import Aggregations
from assets.evaluation.fingerprints import REPORT_VERSION, EvaluationStep, GapCurves, GapReports, GradedCandidates
from assets.judging.fingerprints import judge_steps
from assets.steps import UnpartitionedStep
from assets.teaching.fingerprints import CHOSEN, LoraCheckpoints, TrainingSets
from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.experiment.keys import ArtifactKey, LaneName
from gsr_dagster.experiment.students import Student
from resources.store.artifacts import ArtifactStore

# 1 had neither pass@k nor distinct answers.
COMPARED_VERSION = 2
ROLES = {"base", "teacher", "candidates_from", "rows", "most_rows"}


class ReportStep(UnpartitionedStep):
    def reported(self, lane: LaneName) -> list[EvaluationStep]:
        """Return the steps of a lane that hold its gaps."""
        curves = (GapCurves,) if self.experiment.further_ks else ()
        return [step(self.experiment, lane) for step in (GapReports, *curves)]


class RefinementGapScaling(ReportStep):
    asset = "refinement_gap_scaling"

    def upstream(self, partition: str) -> tuple[ArtifactKey, ...]:
        return _all_of(self.reported("base"))

    def settings(self, store: ArtifactStore, partition: str) -> dict[str, Any]:
        return {
            "parameters": {name: self.experiment.models[name].parameters for name in self.experiment.subjects("base")},
            "report": REPORT_VERSION,
        }


class StudentComparison(ReportStep):
    asset = "student_comparison"

    def upstream(self, partition: str) -> tuple[ArtifactKey, ...]:
        return (
            ArtifactKey(RefinementGapScaling.asset),
            *_all_of([LoraCheckpoints(self.experiment), TrainingSets(self.experiment)]),
            *_all_of(self.compared("base")),
            *_all_of(self.compared("student")),
        )

    def compared(self, lane: LaneName) -> list[EvaluationStep]:
        tables = [Aggregations(self.experiment, lane)] if self.experiment.aggregations else []
        verdicts = judge_steps(self.experiment, lane)[-1:]
        return [GradedCandidates(self.experiment, lane), *self.reported(lane), *tables, *verdicts]

    def settings(self, store: ArtifactStore, partition: str) -> dict[str, Any]:
        prices = {name: price.model_dump() for name, price in self.experiment.prices.items()}
        return {
            "students": {name: _roles(student) for name, student in self.experiment.students.items()},
            "out_of_distribution": {
                name: benchmark.out_of_distribution for name, benchmark in self.experiment.benchmarks.items()
            },
            "report": REPORT_VERSION,
            "compared": COMPARED_VERSION,
            **({"prices": prices} if prices else {}),
        }


def report_steps(experiment: Experiment) -> list[ReportStep]:
    return [RefinementGapScaling(experiment), StudentComparison(experiment)]


def _all_of(steps: list) -> tuple[ArtifactKey, ...]:
    return tuple(step.key(partition) for step in steps for partition in step.partitions)


def _roles(student: Student) -> dict[str, Any]:
    method = {"method": student.training.method} if student.by_rewards else {}
    return student.model_dump(include=ROLES) | student.model_dump(include=CHOSEN, exclude_defaults=True) | method
