"""What a report is made of: a gap, a point of its curve, a student beside its base, and what a student learned from."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter

from gsr_dagster.experiment.keys import LaneName
from gsr_dagster.method.rows import Row
from gsr_dagster.method.scoring.aggregation_summary import AggregationSummary
from gsr_dagster.method.scoring.gap_summary import GapSummary
from gsr_dagster.method.scoring.intervals import Interval
from gsr_dagster.method.scoring.judged_scores import JudgedSummary


@dataclass(frozen=True, kw_only=True)
class ReportedGap(GapSummary):
    """The gap report of one subject on one benchmark.

    ``parameters`` are those of its model, or of its base, None where nobody knows them.
    """

    benchmark: str
    subject: str
    lane: LaneName
    family: str
    parameters: float | None


@dataclass(frozen=True)
class ReportedCurvePoint:
    """The scores of a subject's groups of one further size."""

    benchmark: str
    subject: str
    k: int
    groups: int
    problems: int
    maj_at_k: Interval
    self_ref_at_k: Interval
    refinement_gap: Interval
    tokens_per_refined_group: float
    prompt_tokens_per_refined_group: float | None = None


@dataclass(frozen=True, kw_only=True)
class ReportedAggregations(AggregationSummary):
    """The aggregations of one subject's groups on one benchmark."""

    benchmark: str
    subject: str


@dataclass(frozen=True, kw_only=True)
class ReportedJudgements(JudgedSummary):
    """What the judge said of one subject's answers on one benchmark."""

    benchmark: str
    subject: str


# The relation of two students of one model, of which one learned from rewards.
SIDE_BY_SIDE = "side by side"


@dataclass(frozen=True)
class Change(Interval):
    """A score of base and student, as fractions, and their difference with its interval, paired over problems."""

    base: float
    student: float


@dataclass(frozen=True)
class ReportedStudent:
    """A student beside its base on one benchmark. ``relation`` says whose candidates it learned from.

    SIDE_BY_SIDE with another student of the same model, which stands in the place of the base. ``distinct_answers`` is
    the mean number of different answers among a problem's candidates. A comparison that was made before there were
    any has no ``pass_at_k`` and no ``distinct_answers``.
    """

    benchmark: str
    out_of_distribution: bool
    student: str
    base: str
    relation: str
    problems: int
    pass_at_1: Change
    maj_at_k: Change
    self_ref_at_k: Change
    refinement_gap: Change
    pass_at_k: Change | None = None
    distinct_answers: Change | None = None

    @staticmethod
    def parse(rows: Sequence[Row]) -> "list[ReportedStudent]":
        """Return stored rows of the asset student_comparison."""
        return TypeAdapter(list[ReportedStudent]).validate_python(rows)


@dataclass(frozen=True)
class StudentFacts:
    """What a student learned from, and its training curve, a row an optimiser step."""

    student: str
    base: str
    teacher: str
    sampler: str
    relation: str
    mixture: str
    rows: int
    refinement_rows: int
    direct_rows: int
    teacher_refinements: int
    correct_refinements: int
    kept_from_all_wrong_groups: int
    teacher_solutions: int
    correct_solutions: int
    history: list[Row]


def stored_gaps(gaps: Sequence[ReportedGap]) -> list[dict[str, Any]]:
    """Return reported gaps as rows, all with the same columns: what each is of first, then its scores."""
    first = ("benchmark", "subject", "lane", "family", "parameters")
    rows = [{**{name: getattr(gap, name) for name in first}, **gap.document()} for gap in gaps]
    columns = dict.fromkeys(name for row in rows for name in row)
    return [{name: row.get(name) for name in columns} for row in rows]


def stored_student(row: ReportedStudent) -> dict[str, Any]:
    return dataclasses.asdict(row)
