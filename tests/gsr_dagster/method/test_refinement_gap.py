import numpy as np
import pytest

from gsr_dagster.method.refinement_gap import bootstrap_mean, by_correct, paired_difference, refinement_gap
from gsr_dagster.method.scores import GroupScore


def group(problem: str, vote: float, refined: bool, n_correct: int = 1) -> GroupScore:
    return GroupScore(problem, f"{problem}/g0", n_correct, vote, refined, 40, 10)


def test_the_gap_is_the_mean_difference_on_the_same_groups():
    groups = [group("a", 1, True), group("b", 0, True), group("c", 0.5, False), group("d", 1, False)]
    assert refinement_gap(groups, seed=0).estimate == pytest.approx((0 + 1 - 0.5 - 1) / 4)


def test_the_interval_agrees_with_drawing_problems_one_by_one():
    rng = np.random.default_rng(3)
    problems = [f"p{i}" for i in range(40) for _ in range(3)]
    values = list(rng.normal(0.1, 1, len(problems)))
    per_problem = np.array(values).reshape(40, 3)
    draws = [per_problem[rng.integers(0, 40, 40)].mean() for _ in range(4000)]
    interval = bootstrap_mean(problems, values, seed=0)
    assert interval.low == pytest.approx(np.percentile(draws, 2.5), abs=0.02)
    assert interval.high == pytest.approx(np.percentile(draws, 97.5), abs=0.02)


def test_samples_of_one_problem_count_as_one_draw():
    alone = bootstrap_mean([f"p{i}" for i in range(20)], [i % 2 for i in range(20)], seed=0)
    repeated = bootstrap_mean(
        [f"p{i}" for i in range(20) for _ in range(9)], [i % 2 for i in range(20) for _ in range(9)], 0
    )
    assert (repeated.low, repeated.high) == (alone.low, alone.high)


def test_a_constant_difference_has_an_interval_without_width():
    interval = bootstrap_mean(["a", "b", "c"], [1.0, 1.0, 1.0], seed=0)
    assert (interval.estimate, interval.low, interval.high) == (1, 1, 1)
    assert interval.clear_of_zero


def test_an_empty_pool_is_refused():
    with pytest.raises(ValueError, match="the pool is empty"):
        bootstrap_mean([], [], seed=0)


def test_pools_of_different_problems_are_not_paired():
    with pytest.raises(ValueError, match="2 problems are in one of the two pools only"):
        paired_difference({"a": [1.0]}, {"b": [1.0]}, seed=0)


def test_strata_by_correct_candidates_add_up_to_the_whole():
    groups = [group("a", 1, True, 4), group("b", 0, True, 0), group("c", 0, False, 0), group("d", 0.5, True, 2)]
    strata = by_correct(groups, k=4)
    assert [s.n_correct for s in strata] == [4, 2, 0]
    assert sum(s.groups * (s.self_ref - s.maj) for s in strata) / 4 == refinement_gap(groups, 0).estimate
