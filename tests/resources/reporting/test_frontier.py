"""Which ways to answer no other one beats at their cost: against every pair of them."""

from hypothesis import given
from hypothesis import strategies as st

from gsr_dagster.method.scoring.intervals import Interval
from resources.reporting.frontier import Method, unbeaten

methods = st.builds(
    lambda name, score, tokens: Method(name, "", Interval(score, score, score, 0.0), tokens),
    name=st.sampled_from("abc"),
    score=st.sampled_from([0.0, 0.25, 0.5, 1.0]),
    tokens=st.sampled_from([1.0, 2.0, 5.0, 9.0]),
)


@given(st.lists(methods, min_size=1, max_size=9))
def test_the_best_at_their_cost_are_those_that_nothing_beats(every):
    def beats(one: Method, other: Method) -> bool:
        no_worse = one.score.estimate >= other.score.estimate and one.tokens <= other.tokens
        return no_worse and (one.score.estimate, one.tokens) != (other.score.estimate, other.tokens)

    best = {(m.score.estimate, m.tokens) for m in unbeaten(every)}
    assert best == {(m.score.estimate, m.tokens) for m in every if not any(beats(other, m) for other in every)}
