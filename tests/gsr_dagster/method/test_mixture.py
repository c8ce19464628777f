import random

import pytest

from gsr_dagster.method.mixture import hybrid_rows, keep_refinements


@pytest.mark.parametrize(
    ("correct", "kept"),
    [([True] * 3 + [False] * 7, 3), ([True] * 9 + [False], 9), ([True] * 10, 4), ([False] * 10, 0), ([True] * 3, 3)],
)
def test_correct_refinements_are_kept_but_only_four_of_an_easy_prompt(correct, kept):
    chosen = keep_refinements(correct, 4, random.Random(0))
    assert len(chosen) == kept
    assert all(correct[index] for index in chosen)


def test_the_mixture_is_one_to_one_and_the_same_for_the_same_seed():
    refinements = [{"kind": "refinement", "id": i} for i in range(5)]
    direct = [{"kind": "direct", "id": i} for i in range(20)]
    rows = hybrid_rows(refinements, direct, seed=7)
    assert sum(row["kind"] == "direct" for row in rows) == 5
    assert sorted(row["id"] for row in rows if row["kind"] == "refinement") == list(range(5))
    assert rows == hybrid_rows(refinements, direct, seed=7) != hybrid_rows(refinements, direct, seed=8)


def test_a_mixture_of_one_part_is_refused():
    with pytest.raises(ValueError, match="no mixture from 0 refinements and 3 direct solutions"):
        hybrid_rows([], [{}] * 3, seed=0)
