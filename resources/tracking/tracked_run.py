"""What a tracking server shows of one artifact."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from gsr_dagster.method.rows import Row


@dataclass(frozen=True)
class TrackedRun:
    """A training or a gap report, as a run of a tracking server.

    ``params`` are settings, and may be nested. ``metrics`` are numbers by name. ``curve`` is a row
    a step: its number by "step", and numbers by name, None where a step has none.
    """

    kind: Literal["training", "gap report"]
    params: Mapping[str, Any]
    metrics: Mapping[str, float]
    curve: Sequence[Row] = field(default=(), repr=False)
