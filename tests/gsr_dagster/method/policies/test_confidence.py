"""Confidence of tokens and the votes that weigh by it, held against the authors' rules written out in a few lines."""

from math import fsum

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gsr_dagster.method.policies.confidence import stopped_traces, surest, trace_confidence, weighted_vote
from gsr_dagster.method.voting import majority_vote

confidences = st.lists(st.floats(0.01, 20), min_size=1, max_size=40)
classes = st.lists(st.sampled_from(["7", "8", "9", None]), min_size=1, max_size=12)


@given(confidences, st.integers(1, 30))
def test_a_candidates_confidence_is_that_of_its_windows(values, window):
    trace = trace_confidence(values, window)
    windows = [np.mean(values[at : at + window]) for at in range(len(values) - window + 1)] or [np.mean(values)]
    assert trace.mean == pytest.approx(np.mean(values))
    assert trace.tail == pytest.approx(np.mean(values[-window:]))
    assert trace.lowest == pytest.approx(min(windows))
    fewest = sorted(windows)[: max(1, int(len(windows) * 0.1))]
    assert trace.bottom == pytest.approx(np.mean(fewest))


@given(confidences, st.integers(1, 30), st.floats(0.01, 20))
def test_a_candidate_is_stopped_at_its_first_window_under_the_bar(values, window, bar):
    ends = range(window, len(values) + 1)
    sums = np.concatenate([[0.0], np.cumsum(values)])
    under = [end for end in ends if (sums[end] - sums[end - window]) / window < bar]
    assert trace_confidence(values, window).stopped_at(bar) == (under[0] if under else None)


@given(classes, st.sampled_from(["7", "8", None]))
def test_equal_confidence_is_the_plain_vote(answers, correct):
    weights = [2.5] * len(answers)
    assert weighted_vote(answers, weights, correct) == majority_vote(answers, correct)
    assert surest(answers, weights, 0.1) == answers


@given(classes, st.randoms(use_true_random=False), st.sampled_from([1.0, 0.9, 0.5, 0.1]))
def test_the_surest_are_those_above_the_percentile_of_all_that_answer(answers, rng, keep):
    weights = [rng.random() for _ in answers]
    answered = [weight for answer, weight in zip(answers, weights, strict=True) if answer is not None]
    kept = surest(answers, weights, keep)
    line = np.percentile(answered, 100 * (1 - keep)) if answered else 0
    expected = [a if a is not None and w >= line else None for a, w in zip(answers, weights, strict=True)]
    assert kept == expected
    totals = {one: fsum(w for a, w in zip(kept, weights, strict=True) if a == one) for one in {*kept} - {None}}
    best = [one for one, total in totals.items() if total == max(totals.values())]
    assert weighted_vote(kept, weights, "7") == (best.count("7") / len(best) if best else 0.0)


def test_without_a_bar_to_fall_under_and_a_consensus_all_are_drawn_and_vote():
    traces = [trace_confidence([3.0, 3.0], 1) for _ in range(6)]
    made = stopped_traces(["7", "8"] * 3, [2] * 6, traces, "7", 2, 0.5, None, "seed")
    assert (made.samples, made.tokens) == (6, 12)
    assert made.correct == 0.5


def test_an_unsure_candidate_costs_its_tokens_up_to_there_and_has_no_vote():
    sure, unsure = trace_confidence([5.0] * 10, 2), trace_confidence([5.0] * 3 + [1.0] * 7, 2)
    made = [
        stopped_traces(["7", "7", "8", "8"], [10] * 4, traces, "7", 1, 1.0, None, "seed")
        for traces in ([sure, sure, unsure, unsure], [sure] * 4)
    ]
    assert made[1].correct == 0.5
    assert made[1].tokens == 40
    # Where a sure one comes first, each unsure one ends after four tokens; where an unsure one does, its bar is low.
    assert 28 < made[0].tokens < 40
    assert made[0].correct > 0.5


def test_nothing_is_drawn_after_a_consensus():
    traces = [trace_confidence([3.0], 1)] * 8
    made = stopped_traces(["7"] * 8, [1] * 8, traces, "7", 3, 0.9, 0.95, "seed")
    assert (made.correct, made.samples, made.tokens) == (1.0, 3, 3)
