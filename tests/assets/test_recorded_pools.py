"""What can be had of recorded samples, and of a model that draws."""

import pytest

from assets.recorded_pools import Available
from resources.problems.recorded_samples import Recording


def recording(refined: set[str], k: int | None) -> Available:
    return Available(4, Recording({"p": 2, "q": 9}, frozenset(refined), k))


def test_a_model_that_draws_gives_whatever_is_wanted():
    drawing = Available(4, None)
    assert drawing.candidates("b/p") == 4
    assert drawing.is_refined("b/p/g7")
    assert drawing.is_refined("b/p/g7", further_k=True)


def test_a_recorded_problem_gives_what_it_has_and_no_more_than_is_wanted():
    recorded = recording(set(), None)
    assert [recorded.candidates(f"b/{problem}") for problem in "pq"] == [2, 4]
    assert recorded.candidates("b/another") == 4, "the engine refuses it: nothing of it is recorded"


@pytest.mark.parametrize(
    ("refined", "k", "is_refined"),
    [
        (set(), None, [False, False]),
        ({"p/g0"}, 2, [True, False]),
        # An earlier version wrote no group size: all are asked for, and the engine refuses what is not there.
        ({"p/g0"}, None, [True, True]),
    ],
)
def test_a_recorded_group_is_refined_where_its_refinement_is_there(refined, k, is_refined):
    recorded = recording(refined, k)
    assert [recorded.is_refined(f"b/p/g{number}") for number in (0, 1)] == is_refined
    assert not recorded.is_refined("b/p/g0", further_k=True)
