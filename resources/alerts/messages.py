"""The text of an alert: what a message says of one run, or of the warnings of several.

What a check or an error says may hold a model's output: it becomes one line, cut, and cannot
mention anyone or format anything in Slack.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

LONGEST = 500  # characters of a description, and of every other text
MOST = 20  # measured values

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
        """Whether it tells only of checks that warn, and so may wait for the next digest."""
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
