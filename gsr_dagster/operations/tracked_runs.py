"""What a run told its tracking server, as Dagster's records of what was made say."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import dagster as dg

from assets.tracking import NOT_TRACKED, TRACKED
from gsr_dagster.operations.lanes import Lane

RECORDS_AT_ONCE = 1000


@dataclass
class Told:
    """How many artifacts are tracked, and of those that are not how many, by the reason."""

    tracked: int = 0
    not_tracked: Counter[str] = field(default_factory=Counter)


def told_since(instance: dg.DagsterInstance, lanes: list[Lane], since: float) -> Told:
    """Return what was told of all that was made since a time, in seconds since 1970."""
    told = Told()
    for lane in lanes:
        for step in lane.steps:
            for metadata in _made_since(instance, step.page_key, since):
                told.tracked += TRACKED in metadata
                if NOT_TRACKED in metadata:
                    told.not_tracked[str(metadata[NOT_TRACKED].value)] += 1
    return told


def _made_since(
    instance: dg.DagsterInstance, asset: dg.AssetKey, since: float
) -> Iterator[dict[str, dg.MetadataValue]]:
    """Yield the metadata of every materialization of an asset since a time."""
    wanted, cursor = dg.AssetRecordsFilter(asset, after_timestamp=since), None
    while True:
        found = instance.fetch_materializations(wanted, limit=RECORDS_AT_ONCE, cursor=cursor)
        for record in found.records:
            if made := record.asset_materialization:
                yield dict(made.metadata)
        if not found.has_more:
            return
        cursor = found.cursor
