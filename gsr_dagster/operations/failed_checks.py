"""Which checks of an experiment fail today, as Dagster's records of their last evaluations say."""

from collections.abc import Iterator
from dataclasses import dataclass

import dagster as dg
from dagster._core.event_api import PartitionKeyFilter
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus as Status

from gsr_dagster.experiment.keys import ArtifactKey, asset_of
from gsr_dagster.operations.lanes import Lane


@dataclass(frozen=True)
class CheckResult:
    """The last evaluation of a check of one artifact: what was measured, and whether a failure is an error.

    ``passed`` is None where the check was never evaluated: its run ended before.
    """

    check: str
    artifact: ArtifactKey
    passed: bool | None
    is_error: bool = False
    description: str = ""


def last_checks(definitions: dg.Definitions, instance: dg.DagsterInstance, lanes: list[Lane]) -> Iterator[CheckResult]:
    """Yield the last evaluation of every check of every artifact, in the order of the lanes."""
    keys = [key for checks in definitions.asset_checks or () for key in checks.check_keys]
    for lane in lanes:
        of_lane = [key for step in lane.steps for key in keys if key.asset_key == step.page_key]
        for partition in lane.partitions if of_lane else ():
            records = instance.event_log_storage.get_latest_asset_check_execution_by_key(
                of_lane, PartitionKeyFilter(key=partition or None)
            )
            for key in of_lane:
                artifact = ArtifactKey(asset_of(key.asset_key), partition)
                record = records.get(key)
                evaluation = (
                    record.evaluation if record and record.status in (Status.SUCCEEDED, Status.FAILED) else None
                )
                if evaluation is None:
                    yield CheckResult(key.name, artifact, None)
                    continue
                is_error = evaluation.severity is dg.AssetCheckSeverity.ERROR
                yield CheckResult(key.name, artifact, evaluation.passed, is_error, evaluation.description or "")
