from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gsr_dagster.method.scoring.diagnostics import Refinement, copies, order_changes, refiner_diagnostics

words = st.lists(st.sampled_from("abc"), max_size=24)


def longest_common_run(left: list[str], right: list[str]) -> int:
    """The oracle: every start in both."""
    best = 0
    for i in range(len(left)):
        for j in range(len(right)):
            run = 0
            while i + run < len(left) and j + run < len(right) and left[i + run] == right[j + run]:
                run += 1
            best = max(best, run)
    return best


@given(words, words)
def test_a_copy_shares_a_run_of_nine_tenths_of_the_longer_text(left, right):
    longer = max(len(left), len(right))
    by_hand = longer > 0 and longest_common_run(left, right) >= ceil(0.9 * longer)
    assert copies(" ".join(left), "\n".join(right)) == by_hand


@given(st.lists(st.sampled_from("abc"), min_size=10, max_size=40))
def test_a_text_with_one_word_added_at_an_end_is_a_copy_and_one_cut_in_two_is_not(text):
    assert copies(" ".join([*text, "x"]), " ".join(text))
    half = len(text) // 2
    assert not copies(" ".join([*text[:half], "x", *text[half:]]), " ".join(text))


def test_part_of_a_word_is_not_a_word():
    assert not copies("a b c d", "xa b c dx")


@pytest.mark.parametrize(("text", "candidate"), [(None, "a"), ("a", None), ("", ""), (None, None)])
def test_a_text_without_words_copies_nothing(text, candidate):
    assert not copies(text, candidate)


def refinement(answer, shown_classes, summary="new", shown=("old",), truncated=False, problem="p") -> Refinement:
    return Refinement(problem, summary, answer, shown, tuple(shown_classes), 0, truncated)


def test_the_rates_count_what_they_say():
    rates = refiner_diagnostics(
        [
            refinement(0, [0, 0, 1], problem="a"),  # the vote is right, and followed
            refinement(2, [1, 1, 0], problem="b"),  # the vote is wrong, and an answer of its own
            refinement(1, [1, 1, None], problem="c", summary="old words", shown=("old words", None)),  # wrong, followed
            refinement(None, [0, 1, None], problem="d", summary=None, truncated=True),  # a tie: no vote to follow
        ],
        seed=0,
    )
    estimates = {name: rate and rate.estimate for name, rate in rates.items()}
    assert estimates == {
        "copies": 1 / 4,
        "keeps_an_answer": 2 / 4,
        "follows_majority": pytest.approx(2 / 3),
        "follows_majority_right": 1,
        "follows_majority_wrong": 1 / 2,
        "truncated": 1 / 4,
        "unclosed_thinking": 1 / 4,
    }
    assert all(rate.low <= rate.estimate <= rate.high for rate in rates.values() if rate)


def test_where_nothing_can_tell_there_is_no_rate():
    rates = refiner_diagnostics([refinement(0, [0, 1]), refinement(None, [None, None])], seed=0)
    assert rates["follows_majority"] is rates["follows_majority_right"] is rates["follows_majority_wrong"] is None
    assert rates["keeps_an_answer"].estimate == 0.5


def test_an_order_counts_by_what_it_changes_beyond_refining_again():
    problems = {group: group[0] for group in ("a0", "a1", "b0", "b1")}
    before = {"a0": 0, "a1": 0, "b0": 1, "b1": None}
    other = {"a0": 1, "a1": None, "b0": 2, "b1": None}
    same = {"a0": 0, "a1": 1, "b0": 1, "b1": None}
    changes = order_changes(before, other, same, problems, seed=0)
    assert {how: interval.estimate for how, interval in changes.items()} == {
        "other_order": 0.75,
        "same_order": 0.25,
        "difference": 0.5,
    }
    with pytest.raises(ValueError, match="refined on different groups"):
        order_changes(before, other, {"a0": 0}, problems, seed=0)
