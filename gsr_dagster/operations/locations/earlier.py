"""Artifacts that the page does not know, told as what they are: made before.

Such are those of a home from when an asset's key did not begin with its experiment, and
those of a store that came from elsewhere. Without this the page would say of them that
they were never made.
"""

from typing import Any

import dagster as dg
from dagster._core.definitions.data_version import DATA_VERSION_TAG

from assets.steps import Step
from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.operations.lanes import lanes
from resources.store.artifacts import ArtifactStore
from resources.store.manifests import Manifest

TOLD = "It was made before the page knew of it: with an older version of gsr, or from elsewhere."


def tell_of_earlier(experiment: Experiment, instance: dg.DagsterInstance, store: ArtifactStore) -> int:
    """Record every stored artifact of which Dagster has no materialization, and return how many there were."""
    told = 0
    for lane in lanes(experiment):
        for step in lane.steps:
            known = _known_partitions(instance, step)
            for partition in lane.partitions:
                manifest = store.manifest(step.key(partition)) if partition not in known else None
                if manifest is not None:
                    instance.report_runless_asset_event(_materialization(instance, step, manifest))
                    told += 1
    return told


def _known_partitions(instance: dg.DagsterInstance, step: Step) -> set[str]:
    """Return the partitions of which there is a materialization: "" for an asset that has none."""
    if instance.get_latest_materialization_event(step.page_key) is None:
        return set()
    return {"", *instance.get_materialized_partitions(step.page_key)}


def _materialization(instance: dg.DagsterInstance, step: Step, manifest: Manifest) -> dg.AssetMaterialization:
    metadata: dict[str, Any] = {
        "made": TOLD,
        "dagster/row_count": manifest.rows,
        "fingerprint": manifest.fingerprint,
    }
    former = dg.AssetKey(step.asset.split("/"))
    if instance.has_asset_key(former):
        metadata["history_until_then"] = dg.MetadataValue.asset(former)
    return dg.AssetMaterialization(
        step.page_key,
        partition=manifest.partition or None,
        description=TOLD,
        metadata=metadata,
        tags={DATA_VERSION_TAG: manifest.data_version},
    )
