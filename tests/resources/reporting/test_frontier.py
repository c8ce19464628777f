"""Which ways to answer no other one beats at their cost: against every pair of them."""

from hypothesis import given
from hypothesis import strategies as st

from gsr_dagster.method.scoring.intervals import Interval
from resources.reporting.frontier import NO_PRICE, NO_PROMPTS, UNITS, Frontier, Method, unbeaten

costs = st.sampled_from([0.0, 1.0, 2.0, 5.0, 9.0])
methods = st.builds(
    lambda name, score, tokens, money: Method(name, "", Interval(score, score, score, 0.0), tokens, money),
    name=st.sampled_from("abc"),
    score=st.sampled_from([0.0, 0.25, 0.5, 1.0]),
    tokens=costs,
    money=costs | st.sampled_from([NO_PRICE, NO_PROMPTS]),
)


@given(st.lists(methods, min_size=1, max_size=9), st.sampled_from(UNITS))
def test_the_best_at_their_cost_are_those_that_nothing_beats(every, unit):
    def of(method: Method) -> tuple[float, float]:
        return method.score.estimate, method.tokens if unit == "tokens" else method.money

    def beats(one: Method, other: Method) -> bool:
        (score, cost), theirs = of(one), of(other)
        return score >= theirs[0] and cost <= theirs[1] and (score, cost) != theirs

    known = [method for method in every if unit == "tokens" or not isinstance(method.money, str)]
    best = {of(method) for method in unbeaten(every, unit)}
    assert best == {of(method) for method in known if not any(beats(other, method) for other in known)}


@given(st.lists(methods, min_size=1, max_size=9))
def test_each_of_the_best_is_named_once_with_what_it_is_the_best_by(every):
    frontier = Frontier("sums", "tiny", every)
    named = frontier.best
    for unit in UNITS:
        assert {m for m, units in named if unit in units} >= set(unbeaten(every, unit))
    assert all(units for _, units in named)
    assert set(frontier.without_money) == {m.name for m in every if isinstance(m.money, str)}
