"""Alerts: what a message says, and who can be sent it: Slack, an SNS topic, any webhook.

    GSR_ALERT_SLACK      address of a Slack incoming webhook; it gets {"text": ...}
    GSR_ALERT_WEBHOOK    any address; it gets the message as JSON
    GSR_ALERT_SNS_TOPIC  ARN of a topic; it gets the text, with id, kind and severity as attributes
    GSR_ALERT_LEAST      WARN or ERROR: what is less than that is not sent; WARN where it is not set

An address is a secret: it stands in the environment alone, and no error here repeats one.
What a check or an error says may hold a model's output: it becomes one line, cut, and cannot
mention anyone or format anything in Slack.
"""

import logging
import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Protocol

import requests

from gsr_dagster.experiment.errors import UserError

SECONDS = (3, 7)  # to connect, and to wait for the answer: an attempt takes some 10 s at most
LONGEST = 500  # characters of a description, and of every other text
MOST = 20  # measured values
REFUSALS = (400, 413, 415, 422)  # this message is at fault; any other 4xx is the address, which can be mended

logging.getLogger("urllib3").setLevel(logging.INFO)  # below that it logs addresses


class AlertSettingError(UserError, ValueError):
    """A variable of the environment cannot be a receiver's address."""


class NotDeliveredError(RuntimeError):
    """The receiver did not take a message, and may take it later."""


class RefusedError(RuntimeError):
    """The receiver will never take this message."""


Severity = Literal["ERROR", "WARN"]


@dataclass(frozen=True)
class Message:
    """What went wrong in one run, or, of warnings, in some. ``id`` stays the same when it is sent again.

    ``measured`` is what the failed check saw; of several checks it is what each of them says.
    """

    id: str
    kind: Literal["check failed", "checks failed", "run failed", "run cancelled"]
    severity: Severity
    time: str
    run_id: str
    job: str
    link: str
    asset: str | None = None
    check: str | None = None
    partition: str | None = None
    experiment: str | None = None
    description: str = ""
    measured: Mapping[str, Any] = field(default_factory=dict)

    @property
    def can_wait(self) -> bool:
        """Whether it tells of nothing but warnings of checks."""
        return self.severity == "WARN" and self.kind in ("check failed", "checks failed")

    def document(self) -> dict[str, Any]:
        """Return the message for JSON, every text in one line."""
        return _plain(asdict(self))

    def title(self) -> str:
        """Return what happened, and where, in one line."""
        said = self.document()
        what = f"check {said['check']} failed on {said['asset']}" if self.check else f"{self.kind}: {said['job']}"
        return f"{self.severity}: {what}" + (f", partition {said['partition']}" if self.partition else "")

    def text(self) -> str:
        """Return the message for people.

        >>> from dataclasses import replace
        >>> told = Message("1", "check failed", "WARN", "2025-01-01T00:00:00+00:00", "7f3a", "base", "http://page/runs/7f3a")
        >>> told = replace(told, asset="pools", check="complete", partition="sums|tiny", measured={"rows": 95})
        >>> print(told.text())
        WARN: check complete failed on pools, partition sums|tiny
        rows 95
        2025-01-01T00:00:00+00:00
        http://page/runs/7f3a
        """
        said = self.document()
        measured = ", ".join(f"{name} {value}" for name, value in said["measured"].items())
        when = ", ".join([*([f"experiment {said['experiment']}"] if self.experiment else []), self.time])
        return "\n".join(line for line in (self.title(), said["description"], measured, when, self.link) if line)


class Receiver(Protocol):
    """Takes messages."""

    def send(self, message: Message) -> None:
        """Send a message once. Raises NotDeliveredError or RefusedError where it was not taken."""
        ...


@dataclass(frozen=True)
class Webhook:
    """Any address that takes the message as JSON."""

    url: str = field(repr=False)

    def __post_init__(self) -> None:
        if not re.match(r"https?://[^/\s]+", self.url):
            raise AlertSettingError("an address that begins with http:// or https:// is wanted")

    def send(self, message: Message) -> None:
        self._post(message.document())

    def _post(self, document: Mapping[str, Any]) -> None:
        try:
            with requests.post(
                self.url, json=document, timeout=SECONDS, allow_redirects=False, stream=True
            ) as response:
                status = response.status_code
        except (requests.RequestException, ValueError) as error:
            # Its text holds the address, and so would this one as the cause.
            raise NotDeliveredError(f"no answer ({type(error).__name__})") from None
        if status in REFUSALS:
            raise RefusedError(f"it answered {status}")
        if not 200 <= status < 300:
            raise NotDeliveredError(f"it answered {status}")


class Slack(Webhook):
    """A Slack incoming webhook."""

    def send(self, message: Message) -> None:
        self._post({"text": slack_text(message)})


@dataclass(frozen=True)
class SnsTopic:
    """An SNS topic. Credentials are found the usual way, the region in the ARN."""

    arn: str = field(repr=False)

    def __post_init__(self) -> None:
        if not re.fullmatch(r"arn:[\w-]+:sns:[\w-]+:\d+:[\w.-]+", self.arn):
            raise AlertSettingError("a topic's ARN is wanted, as arn:aws:sns:REGION:ACCOUNT:NAME")

    def send(self, message: Message) -> None:
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError, ClientError

        said = message.document()
        named = ("id", "kind", "severity", "run_id", "asset", "check", "partition")
        request: dict[str, Any] = {
            "TopicArn": self.arn,
            "Subject": message.title().encode("ascii", "replace").decode()[:100],
            "Message": message.text(),
            "MessageAttributes": {
                name: {"DataType": "String", "StringValue": said[name]} for name in named if said[name]
            },
        }
        if self.arn.endswith(".fifo"):  # such a topic asks for both, and drops what it has seen within five minutes
            request |= {"MessageGroupId": "gsr", "MessageDeduplicationId": message.id}
        connect, read = SECONDS
        limits = Config(connect_timeout=connect, read_timeout=read, retries={"total_max_attempts": 1})
        try:
            boto3.client("sns", region_name=self.arn.split(":")[3], config=limits).publish(**request)
        except ClientError as error:
            raise NotDeliveredError(f"it answered {error.response.get('Error', {}).get('Code')}") from None
        except BotoCoreError as error:
            raise NotDeliveredError(f"no answer ({type(error).__name__})") from None


RECEIVERS: dict[str, tuple[str, type[Slack | Webhook | SnsTopic]]] = {
    "slack": ("GSR_ALERT_SLACK", Slack),
    "webhook": ("GSR_ALERT_WEBHOOK", Webhook),
    "sns": ("GSR_ALERT_SNS_TOPIC", SnsTopic),
}


def configured(name: str) -> Receiver | None:
    """Return a receiver by its name in RECEIVERS, None where the environment names no address.

    Raises AlertSettingError, without the value, where it cannot be one.
    """
    variable, kind = RECEIVERS[name]
    address = os.environ.get(variable, "").strip()
    try:
        return kind(address) if address else None
    except AlertSettingError as error:
        raise AlertSettingError(f"{variable}: {error}") from None


def least_severity() -> Severity:
    """Return the least severity that is sent. Raises AlertSettingError where the environment names none there is."""
    least = os.environ.get("GSR_ALERT_LEAST", "").strip().upper() or "WARN"
    if least == "WARN" or least == "ERROR":
        return least
    raise AlertSettingError("GSR_ALERT_LEAST: WARN or ERROR is wanted")


def digest(messages: Sequence[Message], page: str) -> Message:
    """Return one message of warnings in place of several: what each of them says, by its title."""
    first, last = messages[0], messages[-1]
    if len(messages) == 1:
        return first
    said = {message.title().removeprefix("WARN: "): message.description for message in messages}
    left_out = len(said) - MOST
    return Message(
        id=last.id,
        kind="checks failed",
        severity="WARN",
        time=last.time,
        run_id=last.run_id,
        job=f"{len(messages)} runs",
        link=f"{page}/runs",
        experiment=first.experiment if len({message.experiment for message in messages}) == 1 else None,
        description=f"the warnings since {first.time}" + (f", without the last {left_out}" if left_out > 0 else ""),
        measured=said,
    )


def slack_text(message: Message) -> str:
    """Return the text with Slack's three control characters escaped, so that nothing in it mentions or links."""
    return message.text().replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _plain(value: Any) -> Any:
    """Return a value for JSON: texts in one printable line and cut, at most 20 measured values."""
    if isinstance(value, str):
        line = " ".join("".join(c if c.isprintable() else " " for c in value).split())
        return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"
    if isinstance(value, dict):
        return {_plain(name): _plain(inner) for name, inner in list(value.items())[:MOST]}
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # JSON has no NaN
    return value
