"""The jobs: one a lane, so that a run holds the steps of one partition."""

from dataclasses import dataclass

import dagster as dg

from assets.recipes import TEACHING_ASSETS, evaluation_assets_of
from gsr_dagster.experiment import Experiment
from resources.artifacts import ArtifactKey


@dataclass(frozen=True)
class Lane:
    """Assets that share their partitions, in the order they are made; and the keys of their partitions."""

    name: str
    assets: tuple[str, ...]
    partitions: tuple[str, ...]

    def keys(self, partition: str) -> list[ArtifactKey]:
        """Return the lane's artifacts of one partition."""
        return [ArtifactKey(asset, partition) for asset in self.assets]

    def job(self):
        """Return the job that materializes the lane."""
        selection = dg.AssetSelection.assets(*(dg.AssetKey(asset.split("/")) for asset in self.assets))
        return dg.define_asset_job(self.name, selection=selection)


def lanes(experiment: Experiment) -> list[Lane]:
    """Return the lanes of an experiment, upstream first; those without partitions are left out."""
    evaluated = {
        lane: tuple(f"{b}|{s}" for s in subjects for b in experiment.benchmarks)
        for lane, subjects in (("base", experiment.models), ("student", experiment.students))
    }
    evaluation = evaluation_assets_of(experiment)
    every = [
        Lane("benchmarks", ("benchmark_problems",), tuple(experiment.benchmarks)),
        Lane(
            "training_problem_set",
            ("training_problems", "contamination"),
            ("",) if experiment.training_problems else (),
        ),
        Lane("base_evaluation", tuple(f"base/{name}" for name in evaluation), evaluated["base"]),
        Lane("teaching", TEACHING_ASSETS, tuple(experiment.students)),
        Lane("student_evaluation", tuple(f"student/{name}" for name in evaluation), evaluated["student"]),
        Lane("reports", ("refinement_gap_scaling", "student_comparison"), ("",)),
    ]
    return [lane for lane in every if lane.partitions]
