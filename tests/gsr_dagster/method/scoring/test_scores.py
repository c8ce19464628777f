from collections import Counter
from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gsr_dagster.method.groups import Group
from gsr_dagster.method.scoring.scores import Graded, best_of_k, maj_at_k, pass_at_k, pool_scores, score_group
from gsr_dagster.method.voting import majority_vote

RIGHT = 0
classes = st.lists(st.sampled_from([RIGHT, 1, 2, 3, None]), min_size=1, max_size=8)


def over_subsets(samples, value) -> list[float]:
    """The oracle: the mean of a value over every subset of each size."""
    sizes = range(1, len(samples) + 1)
    return [float(np.mean([value(subset) for subset in combinations(samples, k)])) for k in sizes]


@given(st.lists(st.booleans(), min_size=1, max_size=8))
def test_pass_at_k_is_the_share_of_subsets_with_a_correct_sample(samples):
    assert pass_at_k(len(samples), sum(samples)) == pytest.approx(over_subsets(samples, any))


@given(classes)
def test_maj_at_k_is_the_mean_vote_over_all_subsets(samples):
    votes = Counter(samples)
    exact = maj_at_k(votes[RIGHT], [votes[c] for c in (1, 2, 3)], votes[None])
    assert exact == pytest.approx(over_subsets(samples, lambda subset: majority_vote(subset, RIGHT)), abs=1e-12)


def test_maj_at_k_is_exact_where_floats_could_lose_it():
    """64 samples of many classes at k = 33, against a count in whole numbers over all ways to tie."""
    correct, wrong, k = 12, [12, 11, 9, 8, 5, 3, 2, 1, 1], 33
    exact = maj_at_k(correct, wrong)[k - 1]
    assert exact == pytest.approx(float(vote_in_whole_numbers(correct, wrong, k)), rel=1e-12)


def vote_in_whole_numbers(correct: int, wrong: list[int], k: int) -> Fraction:
    from math import comb

    won = Fraction(0)
    for votes in range(1, correct + 1):
        ways = {(0, 0): 1}  # (chosen, ties): number of ways
        for count in wrong:
            new: dict[tuple[int, int], int] = {}
            for (chosen, ties), number in ways.items():
                for taken in range(min(count, votes) + 1):
                    key = (chosen + taken, ties + (taken == votes))
                    new[key] = new.get(key, 0) + number * comb(count, taken)
            ways = new
        won += sum(
            (Fraction(comb(correct, votes) * number, 1 + ties) for (n, ties), number in ways.items() if n == k - votes),
            Fraction(0),
        )
    return won / comb(correct + sum(wrong), k)


@given(st.lists(st.tuples(st.sampled_from([0.1, 0.5, 0.9]), st.booleans()), min_size=1, max_size=8))
def test_best_of_k_is_the_mean_over_all_subsets_with_ties_drawn_evenly(samples):
    def best(subset):
        top = max(score for score, _ in subset)
        return np.mean([correct for score, correct in subset if score == top])

    scores, correct = zip(*samples, strict=True)
    assert best_of_k(scores, correct) == pytest.approx(over_subsets(samples, best))


@given(classes)
def test_the_scores_of_a_pool_come_from_its_classes(samples):
    passed, voted = pool_scores([Graded(c == RIGHT, c, 1) for c in samples])
    assert passed == pytest.approx(over_subsets(samples, lambda subset: RIGHT in subset))
    assert voted == pytest.approx(over_subsets(samples, lambda subset: majority_vote(subset, RIGHT)))


def test_a_pool_without_answers_scores_nothing_and_one_sample_is_its_own_vote():
    assert pool_scores([Graded(False, None, 1)] * 3)[1].tolist() == [0, 0, 0]
    assert pool_scores([Graded(True, 0, 1)])[1].tolist() == [1]


@pytest.mark.parametrize(
    ("score", "message"),
    [
        (lambda: pass_at_k(4, 5), "pass@k wants 0 <= correct <= n"),
        (lambda: pass_at_k(0, 0), "1 to 1000 samples of a problem, not 0"),
        (lambda: maj_at_k(0, []), "1 to 1000 samples of a problem, not 0"),
        (lambda: maj_at_k(2, [-1]), "counts of samples cannot be negative"),
        (lambda: pool_scores([]), "1 to 1000 samples of a problem, not 0"),
        (lambda: best_of_k([0.5, float("nan")], [True, False]), "scores must be finite numbers, not nan"),
        (lambda: best_of_k([0.5], [True, False]), "argument 2 is longer"),
        (lambda: best_of_k([], []), "1 to 1000 samples of a problem, not 0"),
    ],
)
def test_a_score_refuses_what_it_cannot_mean(score, message):
    with pytest.raises(ValueError, match=message):
        score()


def test_a_group_is_scored_on_the_candidates_it_shows():
    right, wrong, none = Graded(True, 0, 10), Graded(False, 1, 20), Graded(False, None, 30)
    score = score_group(Group("p/g0", "p", (3, 0)), [right, right, wrong, none], Graded(True, 0, 5))
    assert (score.n_correct, score.vote, score.refined) == (1, 1.0, True)
    assert (score.candidate_tokens, score.refinement_tokens) == (40, 5)


def test_an_all_wrong_group_gives_voting_nothing():
    wrong = Graded(False, 1, 20)
    assert score_group(Group("p/g0", "p", (0, 1)), [wrong, wrong], Graded(True, 0, 5)).vote == 0
