"""Which of the kept rows a training set takes."""

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gsr_dagster.method.groups import choose_for_training, groups_for_training
from gsr_dagster.method.row_selection import at_most_a_problem, distinct, is_hard, with_hard_share

ROWS = st.lists(
    st.builds(
        lambda problem, text, hard: {"problem_id": problem, "alike": text, "hard": hard},
        st.sampled_from("abc"),
        st.sampled_from("xyz"),
        st.booleans(),
    ),
    max_size=30,
)


def hard(row: dict) -> bool:
    return row["hard"]


@pytest.mark.parametrize(
    ("classes", "correct", "expected"),
    [
        (["7", "7", "9"], "7", False),
        (["9", "9", "7"], "7", True),
        (["7", "9"], "7", False),  # a tie that is right half the time
        (["7", "8", "9"], "7", True),
        (["8", "9"], None, True),
        ([None, None], "7", True),
    ],
)
def test_a_group_is_hard_where_its_vote_is_wrong(classes, correct, expected):
    assert is_hard(classes, correct) is expected


@given(ROWS)
def test_of_identical_rows_the_first_stays(rows):
    kept = distinct(rows)
    texts = [row["alike"] for row in kept]
    assert len(set(texts)) == len(texts)
    assert set(texts) == {row["alike"] for row in rows}
    assert all(next(other for other in rows if other["alike"] == row["alike"]) is row for row in kept)


@given(ROWS, st.integers(1, 4), st.integers(0, 9))
def test_a_problem_has_no_more_rows_than_are_wanted_and_loses_none_that_it_may_have(rows, most, seed):
    kept = Counter(row["problem_id"] for row in at_most_a_problem(rows, most, seed))
    assert kept == {name: min(count, most) for name, count in Counter(row["problem_id"] for row in rows).items()}
    assert at_most_a_problem(rows, most, seed) == at_most_a_problem(rows, most, seed)


@given(ROWS, st.floats(0, 1), st.none() | st.integers(1, 12), st.integers(0, 9))
def test_the_share_of_hard_rows_is_reached_and_no_hard_row_is_left_out_for_it(rows, share, most, seed):
    if rows and share and not any(map(hard, rows)):
        with pytest.raises(ValueError, match="hard_share"):
            with_hard_share(rows, hard, share, most, seed)
        return
    kept = with_hard_share(rows, hard, share, most, seed)
    difficult = sum(map(hard, kept))
    assert difficult >= share * len(kept) - 1e-6
    assert len(kept) <= (most or len(rows))
    assert [row for row in rows if any(row is one for one in kept)] == kept
    if most is None:
        assert difficult == sum(map(hard, rows))
        easy = len(rows) - difficult
        one_more = len(kept) - difficult + 1  # as many easy ones stay as the share allows
        assert len(kept) - difficult == easy or difficult < share * (difficult + one_more) + 1e-6


@given(st.lists(st.booleans(), min_size=8, max_size=12), st.integers(1, 4), st.integers(1, 2), st.integers(0, 9))
def test_several_groups_share_no_candidate_and_take_the_right_ones_first(correct, k, groups, seed):
    chosen = groups_for_training(correct, k, groups, random.Random(seed))
    flat = [index for group in chosen for index in group]
    assert [len(group) for group in chosen] == [k] * groups
    assert len(set(flat)) == len(flat)
    assert sum(correct[index] for index in flat) == min(sum(correct), k * groups)


@given(st.lists(st.booleans(), min_size=4, max_size=8), st.integers(0, 9))
def test_one_group_is_that_of_before(correct, seed):
    assert groups_for_training(correct, 4, 1, random.Random(seed)) == [
        choose_for_training(correct, 4, random.Random(seed))
    ]
