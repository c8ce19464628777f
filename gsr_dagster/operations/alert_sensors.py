"""The alert sensors: one a receiver, over the ended runs of every code location.

Dagster's own run status sensor moves past a run whose evaluation failed, so a receiver that is
down would lose it. Here the event log is the outbox and each receiver has its own position in it,
kept in the instance's storage and moved after every single message. A tick sends what lies
behind it, oldest first, and ends at the first message that is not taken: the next tick begins with that one.
So each receiver is told in order, one that is down holds up no other, and a daemon that dies
loses nothing. One message can arrive twice, with the same id: when the receiver took it but its
answer was lost, or the process died between the answer and the note of it.

A receiver's first tick only notes where the log ends: what was before is not news.
"""

import hashlib
import json
import logging
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, Self

import dagster as dg
from dagster import DagsterEventType, EventLogEntry

from gsr_dagster.operations.failures import cause
from resources.alerts import RECEIVERS, Message, NotDeliveredError, Receiver, RefusedError, configured

ENDS = (DagsterEventType.RUN_SUCCESS, DagsterEventType.RUN_FAILURE, DagsterEventType.RUN_CANCELED)
TELLING = {*ENDS, DagsterEventType.ASSET_CHECK_EVALUATION, DagsterEventType.STEP_FAILURE}
TICK_SECONDS = 30  # no message is begun later in a tick: Dagster gives up on a tick after 60 s
RUNS_A_TICK = 100  # of each kind of end


def alert_sensors(interval: int = 30) -> list[dg.SensorDefinition]:
    """Return a sensor a receiver, running where the environment names its address. ``interval`` is in seconds."""
    return [_alert_sensor(name, interval) for name in RECEIVERS]


def _alert_sensor(name: str, interval: int) -> dg.SensorDefinition:
    variable, _ = RECEIVERS[name]
    status = dg.DefaultSensorStatus.RUNNING if os.environ.get(variable) else dg.DefaultSensorStatus.STOPPED

    @dg.sensor(
        name=f"alerts_to_{name}",
        description=f"Sends failed checks and failed or cancelled runs of all code locations to ${variable}.",
        minimum_interval_seconds=interval,
        default_status=status,
    )
    def alerts(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        receiver = configured(name)
        if receiver is None:
            return dg.SkipReason(f"No receiver: {variable} is not set where this code location is served.")
        return dg.SkipReason(tell(context.instance, name, receiver, context.log))

    return alerts


@dataclass
class Position:
    """How far a receiver is told: the last run by kind of end, and the messages taken of runs not told whole."""

    after: dict[str, int]
    taken: list[str] = field(default_factory=list)

    @classmethod
    def end_of_log(cls, instance: dg.DagsterInstance) -> Self:
        """Return the position behind every run that has ended."""
        last = {end.value: instance.fetch_run_status_changes(end, limit=1).records for end in ENDS}
        return cls({end: records[0].storage_id if records else -1 for end, records in last.items()})

    @classmethod
    def load(cls, instance: dg.DagsterInstance, name: str) -> Self | None:
        stored = instance.daemon_cursor_storage.get_cursor_values({_key(name)}).get(_key(name))
        return cls(**json.loads(stored)) if stored else None

    def save(self, instance: dg.DagsterInstance, name: str) -> None:
        # A sensor's own cursor is written when the tick ends, and not at all when it fails.
        instance.daemon_cursor_storage.set_cursor_values({_key(name): json.dumps(asdict(self))})


def tell(instance: dg.DagsterInstance, name: str, receiver: Receiver, log: logging.Logger) -> str:
    """Send a receiver what it was not told yet, and return what was done.

    Raises NotDeliveredError where a message was not taken; that and all after it wait for the next call.
    """
    position = Position.load(instance, name)
    if position is None:
        Position.end_of_log(instance).save(instance, name)
        return "Alerts begin here: runs that end from now on are told."
    deadline = time.monotonic() + TICK_SECONDS
    taken = refused = 0
    for record in _ended_runs(instance, position):
        messages = alerts_of(instance, record.event_log_entry)
        for message in messages:
            if message.id in position.taken:
                continue
            if taken + refused and time.monotonic() > deadline:
                return f"Messages taken: {taken}, refused: {refused}; more at the next tick."
            try:
                receiver.send(message)
                taken += 1
            except NotDeliveredError as error:
                raise NotDeliveredError(
                    f"{name}: {error}; this message and all after it wait for the next tick"
                ) from None
            except RefusedError as error:
                log.error(f"{name} refuses a message, which is dropped: {error}\n{message.text()}")
                refused += 1
            position.taken.append(message.id)
            position.save(instance, name)
        done = {message.id for message in messages}
        position.taken = [told for told in position.taken if told not in done]
        position.after[record.event_log_entry.get_dagster_event().event_type.value] = record.storage_id
        position.save(instance, name)
    return f"Messages taken: {taken}, refused: {refused}." if taken or refused else "Nothing new."


def alerts_of(instance: dg.DagsterInstance, end: EventLogEntry) -> list[Message]:
    """Return what the end of a run has to tell: every check whose last evaluation failed, then the run itself.

    A run that was given up and went on has two ends: the second tells what came after the first.
    """
    run = instance.get_run_by_id(end.run_id)
    if run is None:  # deleted
        return []
    part, earlier = _log_until(instance.all_logs(end.run_id, of_type=TELLING), end)
    page = os.environ.get("GSR_PAGE_URL") or "http://localhost:3000"
    shared: dict[str, Any] = {
        "run_id": run.run_id,
        "job": run.job_name,
        "link": f"{page.rstrip('/')}/runs/{run.run_id}",
        "experiment": run.tags.get("gsr/experiment"),
    }
    checks = {}
    for entry in part:
        if check := _evaluation(entry):
            checks[check.asset_key, check.check_name, check.partition] = check, entry.timestamp
    failed = [(check, timestamp) for check, timestamp in checks.values() if not check.passed]
    messages = [
        Message(
            id=_id(run.run_id, check.asset_key.to_user_string(), check.check_name, check.partition, timestamp),
            kind="check failed",
            severity="ERROR" if check.severity is dg.AssetCheckSeverity.ERROR else "WARN",
            time=_time(timestamp),
            asset=check.asset_key.to_user_string(),
            check=check.check_name,
            partition=check.partition or _partition(run),
            description=check.description or "",
            measured=_measured(check),
            **shared,
        )
        for check, timestamp in failed
    ]
    event = end.get_dagster_event()
    if event.event_type is DagsterEventType.RUN_SUCCESS or event.event_type in earlier:
        return messages
    cancelled = event.event_type is DagsterEventType.RUN_CANCELED
    steps = [step for entry in part if (step := entry.get_dagster_event()).is_step_failure]
    causes = "; ".join(f"{step.step_key}: {cause(step)}" for step in steps)
    told = Message(
        id=_id(run.run_id, event.event_type.value),
        kind="run cancelled" if cancelled else "run failed",
        severity="WARN" if cancelled else "ERROR",
        time=_time(end.timestamp),
        partition=_partition(run),
        description=(not cancelled and causes) or event.message or "",
        **shared,
    )
    return [*messages, told]


def _ended_runs(instance: dg.DagsterInstance, position: Position) -> list[dg.EventLogRecord]:
    """Return the ends of runs behind a position, oldest first."""
    records = []
    for end in ENDS:
        behind = dg.RunStatusChangeRecordsFilter(end, after_storage_id=position.after[end.value])
        records += instance.fetch_run_status_changes(behind, limit=RUNS_A_TICK, ascending=True).records
    return sorted(records, key=lambda record: record.storage_id)


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


def _key(name: str) -> str:
    return f"gsr/alerts/{name}"


def _time(timestamp: float) -> str:
    return datetime.fromtimestamp(timestamp, UTC).isoformat(timespec="seconds")
