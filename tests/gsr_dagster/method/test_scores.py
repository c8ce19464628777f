from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gsr_dagster.method.groups import Group
from gsr_dagster.method.scores import Graded, pass_at_k, score_group


@given(st.lists(st.booleans(), min_size=1, max_size=8), st.data())
def test_pass_at_k_is_the_share_of_subsets_with_a_correct_sample(samples, data):
    k = data.draw(st.integers(1, len(samples)))
    subsets = list(combinations(samples, k))
    expected = sum(any(subset) for subset in subsets) / len(subsets)
    assert pass_at_k(len(samples), sum(samples), k) == pytest.approx(expected)


@pytest.mark.parametrize(("n", "correct", "k"), [(4, 1, 5), (4, 5, 2), (0, 0, 1), (4, 1, 0)])
def test_pass_at_k_refuses_what_it_cannot_mean(n, correct, k):
    with pytest.raises(ValueError, match=r"pass@k wants"):
        pass_at_k(n, correct, k)


def test_a_group_is_scored_on_the_candidates_it_shows():
    right, wrong, none = Graded(True, 0, 10), Graded(False, 1, 20), Graded(False, None, 30)
    score = score_group(Group("p/g0", "p", (3, 0)), [right, right, wrong, none], Graded(True, 0, 5))
    assert (score.n_correct, score.vote, score.refined) == (1, 1.0, True)
    assert (score.candidate_tokens, score.refinement_tokens) == (40, 5)


def test_an_all_wrong_group_gives_voting_nothing():
    wrong = Graded(False, 1, 20)
    assert score_group(Group("p/g0", "p", (0, 1)), [wrong, wrong], Graded(True, 0, 5)).vote == 0
