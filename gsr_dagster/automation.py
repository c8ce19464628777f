"""The jobs: one a lane, so that a run holds the steps of one partition.

They are what the page, `gsr run` and `gsr backfill` launch. Nothing here starts by
itself: the weekly schedule is off until someone turns it on.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import dagster as dg

from assets.recipes import TEACHING_ASSETS, Recipes, evaluation_assets_of
from gsr_dagster.experiment import Experiment
from gsr_dagster.partitions import Partitions
from resources.manifests import ArtifactKey

EXPERIMENT_TAG = "gsr/experiment"
FAMILY_TAG = "gsr/family"
MONDAY_AT_SIX = "0 6 * * 1"


@dataclass(frozen=True)
class Lane:
    """Assets that share their partitions, in the order they are made; and the keys of their partitions."""

    name: str
    assets: tuple[str, ...]
    partitions: tuple[str, ...]

    def keys(self, partition: str) -> list[ArtifactKey]:
        """Return the lane's artifacts of one partition."""
        return [ArtifactKey(asset, partition) for asset in self.assets]

    def stale(self, recipes: Recipes, partition: str) -> list[ArtifactKey]:
        """Return the artifacts of a partition that are not current, and all that come after the first of them."""
        keys = self.keys(partition)
        for index, key in enumerate(keys):
            if recipes.store.current(recipes.recipe(key)) is None:
                return keys[index:]
        return []

    def job(self, experiment: Experiment):
        """Return the job that materializes the lane. Its runs carry the experiment and the family as tags."""
        selection = dg.AssetSelection.assets(*(dg.AssetKey(asset.split("/")) for asset in self.assets))
        partitions = Partitions.of(experiment)
        by_subject = {
            "base_evaluation": partitions.base,
            "teaching": partitions.student,
            "student_evaluation": partitions.trained,
        }
        config = None
        if self.name in by_subject:
            config = dg.PartitionedConfig(
                partitions_def=by_subject[self.name],
                run_config_for_partition_key_fn=lambda partition: {},
                tags_for_partition_key_fn=lambda partition: {FAMILY_TAG: experiment.family(subject_of(partition))},
            )
        return dg.define_asset_job(
            self.name, selection=selection, config=config, tags={EXPERIMENT_TAG: experiment.name}
        )


def subject_of(partition: str) -> str:
    """Return the model or student of a partition: BENCHMARK|SUBJECT or SUBJECT."""
    return partition.rpartition("|")[2]


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


def weekly_schedule(experiment: Experiment, recipes: Recipes) -> dg.ScheduleDefinition:
    """Return an example of a schedule: every Monday, a run for each partition of the base lane that is not current."""
    lane = next(lane for lane in lanes(experiment) if lane.name == "base_evaluation")

    @dg.schedule(cron_schedule=MONDAY_AT_SIX, job_name=lane.name, name="weekly_base_evaluation")
    def weekly() -> Iterator[dg.RunRequest]:
        for partition in lane.partitions:
            if lane.stale(recipes, partition):
                yield dg.RunRequest(run_key=partition, partition_key=partition)

    return weekly
