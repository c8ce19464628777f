"""Accuracy against the cost of every way to answer, and which ways no other one beats at their cost.

A cost is the generated tokens of an answer, or its money at the prices of the experiment file.

>>> a, b, c = (Method(name, "", Interval(score, 0, 1, 0), tokens) for name, score, tokens in
...            [("one sample", 0.4, 10), ("vote", 0.5, 40), ("refine", 0.45, 50)])
>>> [method.name for method in unbeaten([a, b, c])]
['one sample', 'vote']
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from gsr_dagster.experiment.aggregations import ALWAYS_AGGREGATED
from gsr_dagster.experiment.aggregations.best_scored import BestScored
from gsr_dagster.experiment.engines import Price
from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.method.scoring.aggregation_summary import AnswerCost
from gsr_dagster.method.scoring.intervals import Interval
from resources.reporting.report_rows import ReportedAggregations, ReportedCurvePoint, ReportedGap

VOTE, REFINE = "vote", "refine"
# Scores that are this near are one: they were summed in another order.
ROUNDING = 1e-9
# What a cost is counted in.
Unit = Literal["tokens", "money"]
UNITS: tuple[Unit, ...] = ("tokens", "money")
# Why a method has no money.
NO_PRICE, NO_PROMPTS = "no price", "prompts not counted"


@dataclass(frozen=True)
class Method:
    """A way to answer: its score as a fraction, and the mean tokens generated for one answer.

    ``setting`` tells apart what one method gives with more or less of something, as k or rounds.
    ``money`` is what an answer costs, in the currency of the file's prices; a text says why it is not known.
    """

    name: str
    setting: str
    score: Interval
    tokens: float
    money: float | str = NO_PRICE

    def cost(self, unit: Unit) -> float | None:
        """Return what an answer costs, None where it is not known."""
        cost = self.tokens if unit == "tokens" else self.money
        return None if isinstance(cost, str) else cost


@dataclass(frozen=True)
class Frontier:
    """The methods of one subject on one benchmark."""

    benchmark: str
    subject: str
    methods: Sequence[Method]

    def curves(self, unit: Unit = "tokens") -> dict[str, list[Method]]:
        """Return the methods whose cost is known, by name and each by its cost."""
        known = _by_cost(self.methods, unit)
        names = dict.fromkeys(method.name for method in self.methods)
        curves = {name: [method for method in known if method.name == name] for name in names}
        return {name: methods for name, methods in curves.items() if methods}

    @property
    def best(self) -> list[tuple[Method, list[Unit]]]:
        """The methods that none beats at their cost, by tokens; with the units in which that is so."""
        of_unit = {unit: unbeaten(self.methods, unit) for unit in UNITS}
        found: list[tuple[Method, list[Unit]]] = []
        for method in _by_cost(self.methods, "tokens"):
            units: list[Unit] = [unit for unit in UNITS if method in of_unit[unit]]
            if units:
                found.append((method, units))
        return found

    @property
    def without_money(self) -> dict[str, str]:
        """The methods whose money is not known, each with the reason."""
        return {method.name: method.money for method in self.methods if isinstance(method.money, str)}


def frontiers(
    experiment: Experiment,
    gaps: Sequence[ReportedGap],
    curves: Sequence[ReportedCurvePoint],
    aggregations: Sequence[ReportedAggregations],
) -> list[Frontier]:
    """Return the frontier of every evaluation, of stored scores alone."""
    tables = {(row.benchmark, row.subject): row for row in aggregations}
    found = []
    for gap in gaps:
        place = gap.benchmark, gap.subject
        further = [point for point in curves if (point.benchmark, point.subject) == place]
        methods = [*_always(experiment, gap, further), *_named(experiment, tables.get(place))]
        found.append(Frontier(*place, methods))
    return found


def unbeaten(methods: Sequence[Method], unit: Unit = "tokens") -> list[Method]:
    """Return the methods by cost for which none scores higher at their cost, and none as high at less.

    A method whose cost is not known is not among them.
    """
    best: list[Method] = []
    for method in _by_cost(methods, unit):
        if not best or method.score.estimate > best[-1].score.estimate + ROUNDING:
            best.append(method)
    return best


def _by_cost(methods: Sequence[Method], unit: Unit) -> list[Method]:
    """Return the methods whose cost is known, the cheapest first, and of those that cost the same the best."""
    known = [(cost, method) for method in methods if (cost := method.cost(unit)) is not None]
    return [method for _, method in sorted(known, key=lambda pair: (pair[0], -pair[1].score.estimate))]


def _always(experiment: Experiment, gap: ReportedGap, further: Sequence[ReportedCurvePoint]) -> Iterator[Method]:
    """Yield the votes and the refinements, which every experiment has."""
    price = experiment.prices.get(gap.subject)

    def method(name: str, k: int, score: Interval, tokens: float, prompt_tokens: float | None) -> Method:
        return Method(name, f"k = {k}", score, tokens, _money(price, prompt_tokens, tokens))

    for point in gap.vote_points or ():
        yield method(VOTE, point.k, point.score, point.tokens, point.prompt_tokens)
    if (tokens := gap.tokens_per_refined_group) is not None:
        score = gap.intervals["self_ref_at_k"]
        yield method(REFINE, gap.k, score, tokens, gap.prompt_tokens_per_refined_group)
    for point in further:
        tokens, prompts = point.tokens_per_refined_group, point.prompt_tokens_per_refined_group
        yield method(REFINE, point.k, point.self_ref_at_k, tokens, prompts)


def _named(experiment: Experiment, table: ReportedAggregations | None) -> Iterator[Method]:
    """Yield the aggregations that the experiment names, those with several settings once for each."""
    if table is None:
        return
    for entry in table.aggregations:
        if entry.aggregation not in (*ALWAYS_AGGREGATED, *table.points):
            money = _money_of(experiment, table.subject, entry.aggregation, entry)
            yield Method(entry.aggregation, "", entry.score, entry.tokens, money)
    for name, points in table.points.items():
        for point in points:
            money = _money_of(experiment, table.subject, name, point)
            yield Method(name, point.setting, point.score, point.tokens, money)


def _money_of(experiment: Experiment, subject: str, name: str, cost: AnswerCost) -> float | str:
    """Return the money of an aggregation's answer, or why it is not known: the subject's candidates, and its refiner's part.

    Scores of candidates have no price in the file.
    """
    aggregation = experiment.aggregations[name]
    price = experiment.prices.get(subject)
    refiner = experiment.prices.get(aggregation.refiner or subject)
    if isinstance(aggregation, BestScored):
        return NO_PRICE
    if cost.prompt_tokens is None or cost.refiner_prompt_tokens is None or cost.refiner_tokens is None:
        return NO_PROMPTS if price and refiner else NO_PRICE
    drawn = _money(refiner, cost.refiner_prompt_tokens, cost.refiner_tokens)
    candidates = _money(price, cost.prompt_tokens - cost.refiner_prompt_tokens, cost.tokens - cost.refiner_tokens)
    if isinstance(candidates, str):
        return candidates
    return drawn if isinstance(drawn, str) else candidates + drawn


def _money(price: Price | None, prompt_tokens: float | None, tokens: float) -> float | str:
    if price is None:
        return NO_PRICE
    return NO_PROMPTS if prompt_tokens is None else price.of(prompt_tokens, tokens)
