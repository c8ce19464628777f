"""The partition definitions, derived from the experiment."""

from dataclasses import dataclass

import dagster as dg

from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.experiment.keys import LaneName


@dataclass(frozen=True)
class Partitions:
    """Every partition definition of an experiment. A multi-partition's key is BENCHMARK|MODEL or BENCHMARK|STUDENT.

    Those of students are of the students of one round.
    """

    benchmark: dg.StaticPartitionsDefinition
    student: dg.StaticPartitionsDefinition
    base: dg.MultiPartitionsDefinition
    trained: dg.MultiPartitionsDefinition

    @classmethod
    def of(cls, experiment: Experiment, round_number: int = 1) -> "Partitions":
        benchmark = dg.StaticPartitionsDefinition(list(experiment.benchmarks))
        model = dg.StaticPartitionsDefinition(list(experiment.subjects("base")))
        student = dg.StaticPartitionsDefinition(experiment.rounds[round_number])
        return cls(
            benchmark,
            student,
            dg.MultiPartitionsDefinition({"benchmark": benchmark, "model": model}),
            dg.MultiPartitionsDefinition({"benchmark": benchmark, "student": student}),
        )

    def lane(self, lane: LaneName) -> dg.MultiPartitionsDefinition:
        """Return the definition of the evaluation lane "base" or "student"."""
        return self.base if lane == "base" else self.trained
