"""The threshold under which a group is refined: the best of other problems, and never of its own."""

import dataclasses

from hypothesis import given
from hypothesis import strategies as st

from gsr_dagster.method.policies.selective import VotedGroup, best_threshold, cross_fitted

K = 3
voted = st.builds(
    VotedGroup,
    problem_id=st.sampled_from([f"p{n}" for n in range(7)]),
    agreeing=st.integers(0, K),
    vote=st.sampled_from([0.0, 0.5, 1.0]),
    refined=st.sampled_from([0.0, 1.0]),
    tokens=st.integers(1, 50),
)


@given(groups=st.lists(voted, min_size=1, max_size=12))
def test_no_threshold_scores_better_and_none_as_good_costs_less(groups):
    def outcome(threshold: int) -> tuple[float, int]:
        refined = [group.agreeing < threshold for group in groups]
        score = sum(g.refined if is_refined else g.vote for g, is_refined in zip(groups, refined, strict=True))
        return score, -sum(g.tokens for g, is_refined in zip(groups, refined, strict=True) if is_refined)

    assert outcome(best_threshold(groups, K)) == max(outcome(threshold) for threshold in range(K + 2))


@given(groups=st.lists(voted, min_size=1, max_size=12), seed=st.integers(0, 3))
def test_a_problem_has_no_say_in_its_own_threshold(groups, seed):
    first = groups[0].problem_id
    changed = [
        dataclasses.replace(g, vote=1 - g.vote, refined=1 - g.refined) if g.problem_id == first else g for g in groups
    ]
    own = [number for number, group in enumerate(groups) if group.problem_id == first]
    before, after = cross_fitted(groups, K, seed), cross_fitted(changed, K, seed)
    assert [before[number] for number in own] == [after[number] for number in own]


def test_with_one_problem_nothing_is_known_and_the_vote_stands():
    assert cross_fitted([VotedGroup("p", 1, 0.0, 1.0, 9)] * 2, K, 0) == [0, 0]
