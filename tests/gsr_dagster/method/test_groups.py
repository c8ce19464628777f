import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gsr_dagster.method.groups import candidate_groups, choose_for_training


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
