"""Accuracy against generated tokens of every way to answer, and which ways no other one beats at their cost.

>>> a, b, c = (Method(name, "", Interval(score, 0, 1, 0), tokens) for name, score, tokens in
...            [("one sample", 0.4, 10), ("vote", 0.5, 40), ("refine", 0.45, 50)])
>>> [method.name for method in unbeaten([a, b, c])]
['one sample', 'vote']
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gsr_dagster.experiment.aggregations import ALWAYS_AGGREGATED
from gsr_dagster.method.scoring.intervals import Interval
from resources.reporting.report_rows import ReportedAggregations, ReportedCurvePoint, ReportedGap

VOTE, REFINE = "vote", "refine"
# Scores that are this near are one: they were summed in another order.
ROUNDING = 1e-9


@dataclass(frozen=True)
class Method:
    """A way to answer: its score as a fraction, and the mean tokens generated for one answer.

    ``setting`` tells apart what one method gives with more or less of something, as k or rounds.
    """

    name: str
    setting: str
    score: Interval
    tokens: float


@dataclass(frozen=True)
class Frontier:
    """The methods of one subject on one benchmark; ``best`` are those that none beats at their cost."""

    benchmark: str
    subject: str
    methods: Sequence[Method]

    @property
    def best(self) -> list[Method]:
        return unbeaten(self.methods)

    @property
    def curves(self) -> dict[str, list[Method]]:
        """The methods by name, each by its cost."""
        names = dict.fromkeys(method.name for method in self.methods)
        return {
            name: sorted((m for m in self.methods if m.name == name), key=lambda method: method.tokens)
            for name in names
        }


def frontiers(
    gaps: Sequence[ReportedGap], curves: Sequence[ReportedCurvePoint], aggregations: Sequence[ReportedAggregations]
) -> list[Frontier]:
    """Return the frontier of every evaluation, of stored scores alone."""
    tables = {(row.benchmark, row.subject): row for row in aggregations}
    found = []
    for gap in gaps:
        place = gap.benchmark, gap.subject
        further = [point for point in curves if (point.benchmark, point.subject) == place]
        found.append(Frontier(*place, list(_methods(gap, further, tables.get(place)))))
    return found


def unbeaten(methods: Sequence[Method]) -> list[Method]:
    """Return the methods by cost for which none scores higher at their cost, and none as high at less."""
    best: list[Method] = []
    for method in sorted(methods, key=lambda method: (method.tokens, -method.score.estimate)):
        if not best or method.score.estimate > best[-1].score.estimate + ROUNDING:
            best.append(method)
    return best


def _methods(
    gap: ReportedGap, further: Sequence[ReportedCurvePoint], table: ReportedAggregations | None
) -> Iterator[Method]:
    for point in gap.vote_points or ():
        yield Method(VOTE, f"k = {point.k}", point.score, point.tokens)
    if gap.tokens_per_refined_group is not None:
        yield Method(REFINE, f"k = {gap.k}", gap.intervals["self_ref_at_k"], gap.tokens_per_refined_group)
    for point in further:
        yield Method(REFINE, f"k = {point.k}", point.self_ref_at_k, point.tokens_per_refined_group)
    if table is None:
        return
    for entry in table.aggregations:
        if entry.aggregation not in (*ALWAYS_AGGREGATED, *table.points):
            yield Method(entry.aggregation, "", entry.score, entry.tokens)
    for name, points in table.points.items():
        for point in points:
            yield Method(name, point.setting, point.score, point.tokens)
