import random
from collections import Counter
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gsr_dagster.method.groups import Group, candidate_groups, choose_for_training, planned_groups, reordered


@given(n=st.integers(1, 20), k=st.integers(1, 20))
def test_groups_do_not_overlap_and_hold_k_candidates(n, k):
    if k > n:
        with pytest.raises(ValueError, match="k must be between 1 and the"):
            candidate_groups("p", n, k, seed=0)
        return
    groups = candidate_groups("p", n, k, seed=0)
    shown = [index for group in groups for index in group.indices]
    assert len(groups) == n // k
    assert sorted(shown) == list(range(k * (n // k)))


def test_raising_n_only_adds_groups():
    assert candidate_groups("p", 8, 4, seed=1) == candidate_groups("p", 16, 4, seed=1)[:2]


def test_the_order_inside_a_group_depends_on_the_seed_and_the_group():
    orders = {candidate_groups(p, 4, 4, seed)[0].indices for p in ("p", "q", "r") for seed in range(4)}
    assert len(orders) > 4


@given(st.lists(st.booleans(), min_size=4, max_size=10), st.integers(0, 99))
def test_training_groups_take_every_correct_sample_first(correct, seed):
    chosen = choose_for_training(correct, 4, random.Random(seed))
    assert len(set(chosen)) == 4
    assert sum(correct[index] for index in chosen) == min(sum(correct), 4)


def test_too_few_samples_for_a_training_group_are_refused():
    with pytest.raises(ValueError, match="3 samples cannot fill a group of 4"):
        choose_for_training([True] * 3, 4, random.Random(0))


@given(st.integers(2, 8), st.integers(0, 99))
def test_another_order_shows_the_same_candidates_and_is_always_the_same_other_one(k, seed):
    group = candidate_groups("p", k, k, seed)[0]
    other = reordered(group, seed)
    assert other.indices != group.indices
    assert sorted(other.indices) == sorted(group.indices)
    assert other == reordered(group, seed)


def test_one_candidate_has_no_other_order():
    with pytest.raises(ValueError, match="has no other order"):
        reordered(Group("p/g0", "p", (0,)), seed=0)


pools = st.dictionaries(st.sampled_from("pqrs"), st.lists(st.booleans(), min_size=1, max_size=7), min_size=1)


@given(pools, st.integers(1, 4), st.integers(1, 30), st.integers(0, 9))
def test_planned_groups_hold_exactly_so_many_correct_ones_as_often_as_the_pool_allows(pools, k, per_stratum, seed):
    groups = planned_groups(pools, k, per_stratum, seed)
    drawn = Counter()
    for group in groups:
        correct = [pools[group.problem_id][index] for index in group.indices]
        assert len(set(group.indices)) == k
        drawn[sum(correct)] += 1
    for n_correct in range(k + 1):
        possible = sum(comb(sum(c), n_correct) * comb(len(c) - sum(c), k - n_correct) for c in pools.values())
        assert drawn[n_correct] == min(possible, per_stratum)
    held = [(group.problem_id, frozenset(group.indices)) for group in groups]
    assert len(set(held)) == len(held)
    assert len({group.id for group in groups}) == len(groups)


@given(pools, st.integers(1, 3), st.integers(1, 10))
def test_more_planned_groups_keep_those_there_were(pools, k, per_stratum):
    few = planned_groups(pools, k, per_stratum, seed=0)
    many = planned_groups(pools, k, per_stratum + 5, seed=0)
    assert {group.id: group for group in few}.items() <= {group.id: group for group in many}.items()


def test_planned_groups_come_from_as_many_problems_as_they_can():
    pools = {f"p{i}": [True, True, True, False, False, False] for i in range(10)}
    groups = planned_groups(pools, k=2, per_stratum=15, seed=0)
    for n_correct in range(3):
        problems = Counter(group.problem_id for group in groups if f"/c{n_correct}-" in group.id)
        assert len(problems) == 10
        assert max(problems.values()) - min(problems.values()) == 1
