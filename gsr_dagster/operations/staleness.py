"""Declarative automation: what went stale is made again, once someone turns the sensor on.

Stale is what `gsr run` would make again: a raised N, a changed setting, another checkpoint
upstream. What was never made is left alone, so that turning it on does not start thirty
models; only what is downstream of a student that has been trained is made for the first time.
What failed, or was stopped by hand, is left to people.
"""

from collections.abc import Callable, Iterator
from datetime import datetime

import dagster as dg

from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.experiment.keys import ArtifactKey
from gsr_dagster.operations.jobs import EXPERIMENT_TAG, name_in_dagster
from gsr_dagster.operations.lanes import lanes
from resources.store.artifacts import ArtifactStore

SECONDS_BETWEEN_LOOKS = 60
MADE_FOR_A_NEW_STUDENT = ("student_evaluation", "reports")
LEFT_TO_PEOPLE = (dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELING, dg.DagsterRunStatus.CANCELED)


def refreshable(
    experiment: Experiment, store: ArtifactStore, left_to_people: Callable[[ArtifactKey], bool]
) -> Iterator[ArtifactKey]:
    """Yield the artifacts that are stale, upstream first, with nothing stale upstream but in the same run.

    Where one of a partition is left to people, so are those that are made with it and from it.
    """
    waiting: set[ArtifactKey] = set()
    for lane in lanes(experiment):
        for partition in lane.partitions:
            keys = lane.keys(partition)
            if not lane.name.startswith(MADE_FOR_A_NEW_STUDENT) and not any(store.manifest(key) for key in keys):
                continue
            stale = lane.stale(store, partition)
            upstream = lane.upstream(partition)
            ready = not upstream & waiting and all(store.manifest(key) for key in upstream)
            if ready and not any(map(left_to_people, stale)):
                yield from stale
            waiting |= set(stale)


def given_up(instance: dg.DagsterInstance, experiment: Experiment, key: ArtifactKey) -> bool:
    """Return whether the last run that was to make an artifact failed or was stopped before it did."""
    asset, partition = experiment.page_key(key), key.partition or None
    planned = instance.get_latest_planned_materialization_info(asset, partition)
    run = instance.get_run_by_id(planned.run_id) if planned else None
    if planned is None or run is None or run.status not in LEFT_TO_PEOPLE:
        return False
    of_partition = dg.AssetRecordsFilter(asset_key=asset, asset_partitions=[partition] if partition else None)
    made = instance.fetch_materializations(of_partition, limit=1).records
    return not made or made[0].storage_id < planned.storage_id


class Stale(dg.AutomationCondition[dg.AssetKey]):
    """True for the partitions that ``refreshable`` names, looked up once a tick."""

    def __init__(self, experiment: Experiment, store: ArtifactStore):
        self.experiment = experiment
        self.store = store
        self.looked_up: tuple[datetime | None, set[ArtifactKey]] = (None, set())

    @property
    def name(self) -> str:
        return "stale"

    def evaluate(self, context: dg.AutomationContext) -> dg.AutomationResult:
        if self.looked_up[0] != context.evaluation_time:
            instance = context.asset_graph_view.instance
            found = refreshable(self.experiment, self.store, lambda key: given_up(instance, self.experiment, key))
            self.looked_up = (context.evaluation_time, set(found))
        stale = {key.partition for key in self.looked_up[1] if self.experiment.page_key(key) == context.key}
        candidates = context.candidate_subset
        if context.partitions_def is not None:
            candidates = candidates.compute_intersection_with_partition_keys(stale)
        return dg.AutomationResult(context, candidates if stale else context.get_empty_subset())


def refreshed(
    experiment: Experiment, store: ArtifactStore, assets: list[dg.AssetsDefinition]
) -> list[dg.AssetsDefinition]:
    """Return the assets with the condition under which the sensor makes them again."""
    condition = (
        Stale(experiment, store)
        & ~dg.AutomationCondition.in_progress()
        & ~dg.AutomationCondition.any_deps_in_progress()
    )
    return list(dg.map_asset_specs(lambda spec: spec.replace_attributes(automation_condition=condition), assets))


def refresh_sensor(experiment: Experiment) -> dg.AutomationConditionSensorDefinition:
    """Return the sensor, which is off until someone turns it on."""
    return dg.AutomationConditionSensorDefinition(
        name_in_dagster(experiment, "refresh_what_is_stale"),
        target=dg.AssetSelection.all(),
        tags={EXPERIMENT_TAG: experiment.name},
        run_tags={EXPERIMENT_TAG: experiment.name},
        minimum_interval_seconds=SECONDS_BETWEEN_LOOKS,
        use_user_code_server=True,  # the condition is our own
    )
