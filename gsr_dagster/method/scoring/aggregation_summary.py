"""What a table of aggregations says: each one's score beside the vote on the same groups, and its cost."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gsr_dagster.method.rows import Row
from gsr_dagster.method.scoring.intervals import Interval, bootstrap_mean
from gsr_dagster.method.scoring.tokens import mean

# What the kinds that are controls say of a refinement, and of which groups.
CONTROLLED = {
    "refinement_minus_greedy": "",
    "refinement_minus_blind": "",
    "refinement_minus_blind_some_right": ", some right",
    "refinement_minus_blind_none_right": ", none right",
}


@dataclass(frozen=True, kw_only=True)
class AnswerCost:
    """What an answer cost in mean tokens: ``tokens`` generated and ``prompt_tokens`` read, candidates included.

    ``refiner_tokens`` and ``refiner_prompt_tokens`` are the part of both that is not the candidates'.
    Tokens of prompts are None where some were not counted, and in a summary that was stored before they were.
    """

    tokens: float
    prompt_tokens: float | None = None
    refiner_tokens: float | None = None
    refiner_prompt_tokens: float | None = None


@dataclass(frozen=True, kw_only=True)
class AggregationScore(AnswerCost):
    """An aggregation's score and its difference to the vote, as fractions, and what an answer cost in mean tokens.

    ``difference`` is None for the vote itself; ``unread`` counts choices that could not be read.
    """

    aggregation: str
    kind: str
    score: Interval
    difference: Interval | None
    scored_tokens: float
    unread: int


@dataclass(frozen=True)
class PlannedStratum:
    """The groups that were built to hold ``n_correct`` correct candidates, and how often their refinement is right."""

    n_correct: int
    groups: int
    problems: int
    score: Interval


@dataclass(frozen=True)
class PopulationRound:
    """The population of n answers a problem after a round of refinement, 0 for the candidates: fractions and means.

    ``pass_at_1`` is the share of it that is right, ``maj_at_n`` its vote, ``pass_at_n`` whether some answer is
    right. ``distinct_answers`` says how far it still differs, ``tokens`` what a problem has cost so far.
    """

    round: int
    problems: int
    pass_at_1: Interval
    maj_at_n: Interval
    pass_at_n: Interval
    distinct_answers: float
    tokens: float


@dataclass(frozen=True, kw_only=True)
class CostPoint(AnswerCost):
    """An aggregation in one of several settings: its score as a fraction, and what an answer cost in mean samples and tokens."""

    setting: str
    score: Interval
    samples: float


@dataclass(frozen=True)
class CrossedReading:
    """A student's refinements of its base's groups, beside the vote on them and the base's own refinements: fractions."""

    groups: int
    student: Interval
    vote: Interval
    base: Interval
    minus_vote: Interval
    minus_base: Interval


@dataclass(frozen=True)
class AggregationSummary:
    """All aggregations of a pool's groups.

    ``planned`` holds, by aggregation, the score by number of correct candidates; ``order``
    how often an answer changes when a group is refined again; ``crossed`` what a student makes
    of its base's groups; ``populations`` the rounds of whole populations; ``points`` what a kind
    comes to in each of its settings; ``further`` what other kinds have to say, by figure and aggregation.
    """

    groups: int
    aggregations: list[AggregationScore]
    planned: dict[str, list[PlannedStratum]]
    order: dict[str, dict[str, Interval]]

    crossed: dict[str, CrossedReading] = field(default_factory=dict)
    populations: dict[str, list[PopulationRound]] = field(default_factory=dict)
    points: dict[str, list[CostPoint]] = field(default_factory=dict)
    further: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def refinement_minus_controls(self) -> dict[str, Interval]:
        """One refinement minus the answer of a control, by the control's name and the groups that were held against it."""
        found = {
            f"{name}{groups}": value
            for figure, groups in CONTROLLED.items()
            for name, value in self.further.get(figure, {}).items()
        }
        return {name: value if isinstance(value, Interval) else Interval(**value) for name, value in found.items()}

    def document(self) -> dict[str, Any]:
        """Return the summary as it is stored: without what only some kinds say, where there is nothing."""
        may_lack = ("crossed", "populations", "points", "further")
        return {name: value for name, value in dataclasses.asdict(self).items() if name not in may_lack or value}


def token_means(rows: Sequence[Row]) -> dict[str, Any]:
    """Return what an answer cost on the mean of an aggregation's rows: what ``AnswerCost`` says, by name."""
    names = [cost.name for cost in dataclasses.fields(AnswerCost)]
    return {name: mean(row.get(name) for row in rows) for name in names}


def cost_point(setting: str, rows: Sequence[Row], seed: int) -> CostPoint:
    """Return what the rows of an aggregation in one setting come to, a row an answer with its ``samples``."""
    return CostPoint(
        setting=setting,
        score=bootstrap_mean([row["problem_id"] for row in rows], [row["correct"] for row in rows], seed),
        samples=float(np.mean([row["samples"] for row in rows])),
        **token_means(rows),
    )
