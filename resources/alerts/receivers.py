"""The receivers of alerts: Slack, an SNS topic, any webhook. The environment names them.

    GSR_ALERT_SLACK      address of a Slack incoming webhook; it gets {"text": ...}
    GSR_ALERT_WEBHOOK    any address; it gets the message as JSON
    GSR_ALERT_SNS_TOPIC  ARN of a topic; it gets the text, with id, kind and severity as attributes
    GSR_ALERT_LEAST      WARN or ERROR: what is less than that is not sent; WARN where it is not set

An address is a secret: it stands in the environment alone, and no error here repeats one.
"""

import logging
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import requests

from gsr_dagster.experiment.errors import UserError
from resources.alerts.messages import Message, Severity, slack_text

SECONDS = (3, 7)  # to connect, and to wait for the answer: an attempt takes some 10 s at most
REFUSALS = (400, 413, 415, 422)  # this message is at fault; any other 4xx is the address, which can be mended

logging.getLogger("urllib3").setLevel(logging.INFO)  # below that it logs addresses


class AlertSettingError(UserError, ValueError):
    """A variable of the environment cannot be a receiver's address."""


class NotDeliveredError(RuntimeError):
    """The receiver did not take a message, and may take it later."""


class RefusedError(RuntimeError):
    """The receiver will never take this message."""


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
    """Return the least severity that is sent. Raises AlertSettingError where the variable is neither."""
    least = os.environ.get("GSR_ALERT_LEAST", "").strip().upper() or "WARN"
    if least == "WARN" or least == "ERROR":
        return least
    raise AlertSettingError("GSR_ALERT_LEAST: WARN or ERROR is wanted")
