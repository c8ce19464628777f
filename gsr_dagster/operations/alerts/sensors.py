"""The alert sensors: one a receiver, over the ended runs of every code location.

Dagster's own run status sensor moves past a run whose evaluation failed, so a receiver that is
down would lose it. Here the event log is the outbox and each receiver has its own position in it,
kept in the instance's storage and moved after every single message. A tick sends what lies
behind it, oldest first, and ends at the first message that is not taken: the next tick begins with that one.
So each receiver is told in order, one that is down holds up no other, and a daemon that dies
loses nothing. One message can arrive twice, with the same id: when the receiver took it but its
answer was lost, or the process died between the answer and the note of it.

A receiver's first tick only notes where the log ends: what was before is not news.

A run is told in one message. Warnings of checks are told once an hour: the first at once, and
those of the hour after it together, when it is over. Errors and runs that ended otherwise do not wait.
"""

import json
import logging
import os
import time
from dataclasses import asdict, dataclass, field
from typing import Any, Self

import dagster as dg

from gsr_dagster.operations.alerts.ended_runs import ENDS, alerts_of, page_address
from resources.alerts.messages import Message, digest
from resources.alerts.receivers import (
    RECEIVERS,
    NotDeliveredError,
    Receiver,
    RefusedError,
    configured,
)

TICK_SECONDS = 30  # no message is begun later in a tick: Dagster gives up on a tick after 60 s
RUNS_A_TICK = 100  # of each kind of end
SECONDS_BETWEEN_WARNINGS = 3600


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
    """How far a receiver is told: the last run by kind of end, and the messages taken of runs not told whole.

    ``waiting`` are warnings for the next digest, which is not sent before ``digest_at``.
    """

    after: dict[str, int]
    taken: list[str] = field(default_factory=list)
    waiting: list[dict[str, Any]] = field(default_factory=list)
    digest_at: float = 0.0

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
    outbox = Outbox(instance, name, receiver, position, log)
    outbox.send_digest()
    for record in _ended_runs(instance, position):
        for message in alerts_of(instance, record.event_log_entry):
            if outbox.told and time.monotonic() > deadline:
                return f"{outbox}; more at the next tick."
            outbox.tell(message)
        position.taken.clear()
        position.after[record.event_log_entry.get_dagster_event().event_type.value] = record.storage_id
        position.save(instance, name)
    return f"{outbox}." if outbox.told or outbox.kept else "Nothing new."


@dataclass
class Outbox:
    """What one tick tells a receiver, and what it keeps for the digest."""

    instance: dg.DagsterInstance
    name: str
    receiver: Receiver
    position: Position
    log: logging.Logger
    taken: int = 0
    refused: int = 0
    kept: int = 0

    @property
    def told(self) -> int:
        return self.taken + self.refused

    def __str__(self) -> str:
        kept = f", kept for the hour's digest: {self.kept}" if self.kept else ""
        return f"Messages taken: {self.taken}, refused: {self.refused}{kept}"

    def tell(self, message: Message) -> None:
        """Send a message, unless it was taken already; a warning that comes within the hour is kept."""
        position = self.position
        if message.id in position.taken:
            return
        if message.can_wait and (position.waiting or time.time() < position.digest_at):
            position.waiting.append(message.document())
            self.kept += 1
        else:
            self._send(message)
        position.taken.append(message.id)
        position.save(self.instance, self.name)

    def send_digest(self) -> None:
        """Send the warnings that wait, once the hour is over."""
        position = self.position
        if position.waiting and time.time() >= position.digest_at:
            self._send(digest([Message(**document) for document in position.waiting], page_address()))
            position.waiting.clear()
            position.save(self.instance, self.name)

    def _send(self, message: Message) -> None:
        try:
            self.receiver.send(message)
            self.taken += 1
        except NotDeliveredError as error:
            raise NotDeliveredError(
                f"{self.name}: {error}; this message and all after it wait for the next tick"
            ) from None
        except RefusedError as error:
            self.log.error(f"{self.name} refuses a message, which is dropped: {error}\n{message.text()}")
            self.refused += 1
        if message.can_wait:
            self.position.digest_at = time.time() + SECONDS_BETWEEN_WARNINGS


def _ended_runs(instance: dg.DagsterInstance, position: Position) -> list[dg.EventLogRecord]:
    """Return the ends of runs behind a position, oldest first."""
    records = []
    for end in ENDS:
        behind = dg.RunStatusChangeRecordsFilter(end, after_storage_id=position.after[end.value])
        records += instance.fetch_run_status_changes(behind, limit=RUNS_A_TICK, ascending=True).records
    return sorted(records, key=lambda record: record.storage_id)


def _key(name: str) -> str:
    return f"gsr/alerts/{name}"
