import random

import pytest

from gsr_dagster.method.mixture import mixed_rows
from gsr_dagster.method.rejection_sampling import keep_refinements


@pytest.mark.parametrize(
    ("correct", "kept"),
    [([True] * 3 + [False] * 7, 3), ([True] * 9 + [False], 9), ([True] * 10, 4), ([False] * 10, 0), ([True] * 3, 3)],
)
def test_correct_refinements_are_kept_but_only_four_of_an_easy_prompt(correct, kept):
    chosen = keep_refinements(correct, 4, random.Random(0))
    assert len(chosen) == kept
    assert all(correct[index] for index in chosen)


REFINEMENTS = [{"kind": "refinement", "id": i} for i in range(5)]
DIRECT = [{"kind": "direct", "id": i} for i in range(20)]


def test_the_mixture_is_one_to_one_and_the_same_for_the_same_seed():
    rows = mixed_rows(REFINEMENTS, DIRECT, "hybrid", None, seed=7)
    assert sum(row["kind"] == "direct" for row in rows) == 5
    assert sorted(row["id"] for row in rows if row["kind"] == "refinement") == list(range(5))
    assert rows == mixed_rows(REFINEMENTS, DIRECT, "hybrid", None, seed=7)
    assert rows != mixed_rows(REFINEMENTS, DIRECT, "hybrid", None, seed=8)


@pytest.mark.parametrize(("kind", "every"), [("hybrid", 10), ("direct", 20), ("refinement", 5)])
def test_a_mixture_holds_the_kinds_it_is_named_for_and_no_row_twice(kind, every):
    wanted = {"refinement", "direct"} if kind == "hybrid" else {kind}
    for most_rows, expected in [(None, every), (4, 4), (1000, every)]:
        rows = mixed_rows(REFINEMENTS, DIRECT, kind, most_rows, seed=1)
        assert len({(row["kind"], row["id"]) for row in rows}) == len(rows) == expected
        assert {row["kind"] for row in rows} == wanted


@pytest.mark.parametrize(
    ("refinements", "direct", "kind"), [([], [{}] * 3, "hybrid"), ([{}], [], "direct"), ([], [{}], "refinement")]
)
def test_a_mixture_without_a_part_it_needs_is_refused(refinements, direct, kind):
    counted = f"no {kind} rows from {len(refinements)} refinements and {len(direct)} direct solutions"
    with pytest.raises(ValueError, match=counted):
        mixed_rows(refinements, direct, kind, None, seed=0)
