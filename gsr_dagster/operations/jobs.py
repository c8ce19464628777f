"""The jobs: one a lane, so that a run holds the steps of one partition.

They are what the page, `gsr run` and `gsr backfill` launch. Nothing here starts by
itself: the weekly schedule is off until someone turns it on.
"""

import json
import os
import re
from collections.abc import Iterator

import dagster as dg

from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.experiment.keys import subject_of
from gsr_dagster.experiment.partitions import Partitions
from gsr_dagster.operations.lanes import Lane, lanes
from resources.store.artifacts import ArtifactStore

EXPERIMENT_TAG = "gsr/experiment"
FAMILY_TAG = "gsr/family"
MONDAY_AT_SIX = "0 6 * * 1"


def name_in_dagster(experiment: Experiment, name: str) -> str:
    """Return the name of an experiment's job, sensor or schedule: the experiment's, then its own.

    Dagster takes letters, digits and '_' only, so what else the experiment's name holds becomes '_'.
    """
    return f"{re.sub(r'[^A-Za-z0-9_]', '_', experiment.name)}_{name}"


def lane_job(experiment: Experiment, lane: Lane):
    """Return the job that materializes a lane. Its runs carry the experiment and the family as tags, and in Kubernetes their GPUs."""
    selection = dg.AssetSelection.assets(*(step.page_key for step in lane.steps))
    partitions = Partitions.of(experiment, lane.round)
    by_subject = {"base": partitions.base, "teaching": partitions.student, "student": partitions.trained}
    config, kind = None, lane.name.split("_")[0]
    if kind in by_subject:
        config = dg.PartitionedConfig(
            partitions_def=by_subject[kind],
            run_config_for_partition_key_fn=lambda partition: {},
            tags_for_partition_key_fn=lambda partition: {
                FAMILY_TAG: experiment.family(subject_of(partition)),
                **gpu_request(lane.gpus(partition)),
            },
        )
    return dg.define_asset_job(
        name_in_dagster(experiment, lane.name),
        selection=selection,
        config=config,
        tags={EXPERIMENT_TAG: experiment.name},
    )


def gpu_request(count: int) -> dict[str, str]:
    """Return the tag by which dagster-k8s asks for a run's GPUs; none outside of a pod of Kubernetes."""
    if "KUBERNETES_SERVICE_HOST" not in os.environ:
        return {}
    resources = {"limits": {"nvidia.com/gpu": count}}
    return {"dagster-k8s/config": json.dumps({"container_config": {"resources": resources}})}


def weekly_schedule(experiment: Experiment, store: ArtifactStore) -> dg.ScheduleDefinition:
    """Return an example of a schedule: every Monday, a run for each partition of the base lane that is not current.

    Dagster's own schedules of a partitioned job run every partition, or the newest one.
    """
    lane = next(lane for lane in lanes(experiment) if lane.name == "base_evaluation")

    @dg.schedule(
        cron_schedule=MONDAY_AT_SIX,
        job_name=name_in_dagster(experiment, lane.name),
        name=name_in_dagster(experiment, "weekly_base_evaluation"),
        tags={EXPERIMENT_TAG: experiment.name},
    )
    def weekly() -> Iterator[dg.RunRequest]:
        for partition in lane.partitions:
            if lane.stale(store, partition):
                yield dg.RunRequest(run_key=partition, partition_key=partition)

    return weekly
