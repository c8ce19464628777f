"""Stopping rules against integrals, draws and every way in which the votes could go on."""

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gsr_dagster.method.policies.stopping import CONFIDENCES, decided, leads, leads_half, stopped
from gsr_dagster.method.voting import majority_vote, vote_winner

classes = st.lists(st.sampled_from([0, 1, 2, None]), min_size=1, max_size=9)


@pytest.mark.parametrize(("first", "second"), [(1, 0), (3, 1), (7, 7), (40, 25)])
def test_the_beta_rule_is_the_integral_of_its_paper(first, second):
    x = np.linspace(0, 1, 200_001)
    density = x**first * (1 - x) ** second
    assert leads_half([second, first]) == pytest.approx(density[x > 0.5].sum() / density.sum(), abs=1e-4)


@pytest.mark.parametrize("votes", [[3, 1, 1], [2, 2, 2], [9, 4, 4, 1], [30, 22, 3, 2, 1], [400, 390, 10]])
def test_the_dirichlet_rule_is_how_often_a_draw_has_the_leader_first(votes):
    drawn = np.random.default_rng(0).dirichlet([count + 1 for count in votes], size=400_000)
    assert leads(votes) == pytest.approx((drawn.argmax(axis=1) == 0).mean(), abs=3e-3)


@pytest.mark.parametrize("votes", [[1], [4, 2], [8]])
def test_of_two_answers_both_rules_are_one(votes):
    assert leads(votes) == leads_half(votes)


@given(votes=st.lists(st.sampled_from("ab"), min_size=1, max_size=5), left=st.integers(0, 4))
def test_a_vote_is_decided_where_no_way_to_go_on_changes_it(votes, left):
    winner = vote_winner(votes)
    ways = itertools.product("abc", repeat=left)
    same = winner is not None and all(vote_winner([*votes, *way]) == winner for way in ways)
    assert decided([*Counter(votes).values()], left) == same


@settings(max_examples=60)
@given(votes=classes)
def test_a_decided_vote_is_the_vote_of_all_and_surer_rules_draw_more(votes):
    points = [("decided", None), *(("beta", confidence) for confidence in CONFIDENCES)]
    exact, *sure = stopped(votes, [10] * len(votes), 0, points, seed="s")
    assert exact.correct == majority_vote(votes, 0)
    assert exact.tokens == pytest.approx(10 * exact.samples)
    assert all(1 <= point.samples <= len(votes) for point in sure)
    assert [point.samples for point in sure] == sorted(point.samples for point in sure)


def test_one_by_one_is_what_a_few_lines_find():
    """Seven of one answer: the Beta rule is 95 % sure after four (1 − 2⁻⁵ = 0.969)."""
    (point,) = stopped([0] * 7, [5] * 7, 0, [("beta", 0.95)], seed="s")
    assert (point.correct, point.samples, point.tokens) == (1.0, 4.0, 20.0)
    sure = next(n for n in itertools.count(1) if 1 - 0.5 ** (n + 1) >= 0.95)
    assert point.samples == sure


def test_answers_that_cannot_be_read_cost_and_do_not_vote():
    (point,) = stopped([None, None, None], [5, 5, 5], 0, [("dirichlet", 0.6)], seed="s")
    assert (point.correct, point.samples, point.tokens) == (0.0, 3.0, 15.0)
