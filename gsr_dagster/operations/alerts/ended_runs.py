"""What the end of a run has to tell: the checks that failed in it, and how it ended."""

import hashlib
import json
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import dagster as dg
from dagster import DagsterEventType, EventLogEntry

from gsr_dagster.operations.failures import cause
from resources.alerts.messages import Message, Severity
from resources.alerts.receivers import least_severity

ENDS = (DagsterEventType.RUN_SUCCESS, DagsterEventType.RUN_FAILURE, DagsterEventType.RUN_CANCELED)
TELLING = {*ENDS, DagsterEventType.ASSET_CHECK_EVALUATION, DagsterEventType.STEP_FAILURE}


def alerts_of(instance: dg.DagsterInstance, end: EventLogEntry) -> list[Message]:
    """Return what the end of a run has to tell, in one message: the checks that fail in the end, and how the run ended.

    There is none where nothing is as severe as what is sent. A run that was given up and went on has two ends: the
    second tells what came after the first.
    """
    run = instance.get_run_by_id(end.run_id)
    if run is None:  # deleted
        return []
    part, earlier = _log_until(instance.all_logs(end.run_id, of_type=TELLING), end)
    shared: dict[str, Any] = {
        "run_id": run.run_id,
        "job": run.job_name,
        "link": f"{page_address()}/runs/{run.run_id}",
        "experiment": run.tags.get("gsr/experiment"),
    }
    least = least_severity()
    checks = {}
    for entry in part:
        if check := _evaluation(entry):
            checks[check.asset_key, check.check_name, check.partition] = check, entry.timestamp
    failed = [(check, timestamp) for check, timestamp in checks.values() if not check.passed]
    failed = [(check, timestamp) for check, timestamp in failed if least == "WARN" or _severity(check) == "ERROR"]
    each = {f"{_severity(check)} {_named(check)}": check.description or "" for check, _ in failed}
    event = end.get_dagster_event()
    cancelled = event.event_type is DagsterEventType.RUN_CANCELED
    as_it_should = event.event_type is DagsterEventType.RUN_SUCCESS or event.event_type in earlier
    if not as_it_should and not (cancelled and least == "ERROR"):
        steps = [step for entry in part if (step := entry.get_dagster_event()).is_step_failure]
        causes = "; ".join(f"{step.step_key}: {cause(step)}" for step in steps)
        told = {
            "id": _id(run.run_id, event.event_type.value),
            "kind": "run cancelled" if cancelled else "run failed",
            "severity": _worst(failed) if cancelled else "ERROR",
            "description": (not cancelled and causes) or event.message or "",
            "measured": each,
        }
    elif len(failed) == 1:
        ((check, timestamp),) = failed
        asset = check.asset_key.to_user_string()
        told = {
            "id": _id(run.run_id, asset, check.check_name, check.partition, timestamp),
            "kind": "check failed",
            "severity": _severity(check),
            "asset": asset,
            "check": check.check_name,
            "partition": check.partition or _partition(run),
            "description": check.description or "",
            "measured": _measured(check),
        }
    elif failed:
        told = {
            "id": _id(run.run_id, *(part for check, at in failed for part in (_named(check), check.partition, at))),
            "kind": "checks failed",
            "severity": _worst(failed),
            "description": f"{len(failed)} checks failed",
            "measured": each,
        }
    else:
        return []
    return [Message(**{"partition": _partition(run), "time": _time(end.timestamp), **shared, **told})]


def page_address() -> str:
    """Return the page's address, where links lead."""
    return (os.environ.get("GSR_PAGE_URL") or "http://localhost:3000").rstrip("/")


def _log_until(log: Sequence[EventLogEntry], end: EventLogEntry) -> tuple[list[EventLogEntry], list[DagsterEventType]]:
    """Return a run's log up to an end, from the end before it, and the kinds of all ends before."""
    part, earlier = [], []
    for entry in log:
        kind = entry.get_dagster_event().event_type
        if kind not in ENDS:
            part.append(entry)
        elif (kind, entry.timestamp) == (end.get_dagster_event().event_type, end.timestamp):
            break
        else:
            part.clear()
            earlier.append(kind)
    return part, earlier


def _evaluation(entry: EventLogEntry) -> dg.AssetCheckEvaluation | None:
    event = entry.get_dagster_event()
    if event.event_type is DagsterEventType.ASSET_CHECK_EVALUATION:
        return event.asset_check_evaluation_data
    return None


def _severity(check: dg.AssetCheckEvaluation) -> Severity:
    return "ERROR" if check.severity is dg.AssetCheckSeverity.ERROR else "WARN"


def _worst(failed: Sequence[tuple[dg.AssetCheckEvaluation, float]]) -> Severity:
    return "ERROR" if any(_severity(check) == "ERROR" for check, _ in failed) else "WARN"


def _named(check: dg.AssetCheckEvaluation) -> str:
    return f"{check.check_name} on {check.asset_key.to_user_string()}"


def _measured(check: dg.AssetCheckEvaluation) -> dict[str, Any]:
    """Return the numbers, texts and JSON of a check's metadata; tables and plots stay on the page."""
    kinds = dg.IntMetadataValue | dg.FloatMetadataValue | dg.BoolMetadataValue | dg.TextMetadataValue
    measured: dict[str, Any] = {}
    for name, value in check.metadata.items():
        if isinstance(value, kinds):
            measured[name] = value.value
        elif isinstance(value, dg.JsonMetadataValue):
            measured[name] = json.dumps(value.value, ensure_ascii=False)
    return measured


def _partition(run: dg.DagsterRun) -> str | None:
    """Return a run's partition, or its range of them."""
    first, last = (run.tags.get(f"dagster/asset_partition_range_{side}") for side in ("start", "end"))
    return run.tags.get("dagster/partition") or (f"{first}...{last}" if first and last else None)


def _id(*parts: object) -> str:
    return hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()[:32]


def _time(timestamp: float) -> str:
    return datetime.fromtimestamp(timestamp, UTC).isoformat(timespec="seconds")
