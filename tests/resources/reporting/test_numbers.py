"""What a line of scores prints adds up."""

from hypothesis import given
from hypothesis import strategies as st

from gsr_dagster.method.scoring.gap_summary import Scores
from resources.reporting.numbers import percent, points, vote_and_refinement

SHARES = st.floats(0, 1)


def scores(vote: float | None, refined: float | None) -> Scores:
    gap = None if vote is None or refined is None else refined - vote
    return Scores(1, 1, 0.0, 0.0, vote, refined, gap, {})


@given(SHARES, SHARES)
def test_the_printed_refinement_less_the_printed_vote_is_the_printed_gap(vote, refined):
    row = scores(vote, refined)
    printed_vote, printed_refined = map(float, vote_and_refinement(row))
    gap = float(points(row.refinement_gap).replace("−", "-"))
    assert round(printed_refined - printed_vote, 1) == gap
    # At most one of them is not rounded to the nearest digit, and that one to the next.
    assert abs(printed_vote - 100 * vote) < 0.1
    assert abs(printed_refined - 100 * refined) < 0.1
    assert percent(vote) == f"{printed_vote:.1f}" or percent(refined) == f"{printed_refined:.1f}"


def test_what_is_not_there_is_a_dash():
    assert vote_and_refinement(scores(None, None)) == ("–", "–")
    assert vote_and_refinement(scores(0.3, None)) == ("30.0", "–")
    assert (percent(None), points(None)) == ("–", "–")
