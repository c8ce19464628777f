import numpy as np
import pytest

from gsr_dagster.method.scoring.intervals import Interval, bootstrap_mean, paired_difference


@pytest.mark.parametrize("size", [5, 40, 1100])  # few kinds of problems, few problems, and many of both
def test_the_interval_agrees_with_drawing_problems_one_by_one(size):
    rng = np.random.default_rng(3)
    problems = [f"p{i}" for i in range(size) for _ in range(3)]
    values = list(rng.normal(0.1, 1, len(problems)))
    per_problem = np.array(values).reshape(size, 3)
    draws = [per_problem[rng.integers(0, size, size)].mean() for _ in range(4000)]
    interval = bootstrap_mean(problems, values, seed=0)
    within = 0.13 / np.sqrt(size)
    assert interval.low == pytest.approx(np.percentile(draws, 2.5), abs=within)
    assert interval.high == pytest.approx(np.percentile(draws, 97.5), abs=within)


def test_problems_of_several_sizes_are_drawn_with_all_their_values():
    rng = np.random.default_rng(4)
    sizes = rng.integers(1, 5, 30)
    values = [list(rng.normal(0.1, 1, size)) for size in sizes]
    problems = [f"p{i}" for i, of_problem in enumerate(values) for _ in of_problem]
    draws = [np.mean(np.concatenate([values[i] for i in rng.integers(0, 30, 30)])) for _ in range(4000)]
    interval = bootstrap_mean(problems, [value for of_problem in values for value in of_problem], seed=0)
    assert [interval.low, interval.high] == pytest.approx(list(np.percentile(draws, [2.5, 97.5])), abs=0.03)


def test_the_standard_error_is_that_of_means_of_problems_where_problems_are_of_one_size():
    rng = np.random.default_rng(5)
    values = rng.normal(0, 1, (30, 4))
    interval = bootstrap_mean([f"p{i}" for i in range(30) for _ in range(4)], list(values.ravel()), seed=0)
    means = values.mean(axis=1)
    assert interval.standard_error == pytest.approx(means.std(ddof=1) / np.sqrt(30))
    assert interval.standard_error == pytest.approx((interval.high - interval.low) / 3.92, rel=0.1)


def test_problems_of_different_sizes_count_by_their_values():
    problems, values = ["a", "a", "a", "b"], [1.0, 1.0, 0.0, 0.0]
    interval = bootstrap_mean(problems, values, seed=0)
    assert interval.estimate == 0.5
    residuals = [2 - 1.5, 0 - 0.5]
    assert interval.standard_error == pytest.approx(np.sqrt(2 / 1 * sum(r**2 for r in residuals)) / 4)


def test_samples_of_one_problem_count_as_one_draw():
    alone = bootstrap_mean([f"p{i}" for i in range(20)], [i % 2 for i in range(20)], seed=0)
    repeated = bootstrap_mean(
        [f"p{i}" for i in range(20) for _ in range(9)], [i % 2 for i in range(20) for _ in range(9)], 0
    )
    assert (repeated.low, repeated.high) == (alone.low, alone.high)
    assert repeated.standard_error == pytest.approx(alone.standard_error)


def test_a_constant_difference_has_an_interval_without_width():
    interval = bootstrap_mean(["a", "b", "c"], [1.0, 1.0, 1.0], seed=0)
    assert (interval.estimate, interval.low, interval.high, interval.standard_error) == (1, 1, 1, 0)
    assert interval.clear_of_zero


@pytest.mark.parametrize(
    ("low", "high", "clear"),
    [
        (0.1, 0.3, True),
        (-0.3, -0.1, True),
        (-0.1, 0.3, False),
        (0.0, 0.3, False),
        (-0.3, 0.0, False),
        (0.0, 0.0, False),
    ],
)
def test_an_interval_is_clear_of_zero_where_it_lies_whole_on_one_side(low, high, clear):
    assert Interval((low + high) / 2, low, high, 0.1).clear_of_zero is clear


def test_one_problem_has_no_spread_to_speak_of():
    interval = bootstrap_mean(["a", "a"], [0.0, 1.0], seed=0)
    assert (interval.low, interval.high, interval.standard_error) == (0.5, 0.5, 0)


@pytest.mark.parametrize(
    ("values", "message"),
    [([], "the pool is empty"), ([1.0, float("nan")], "1 of 2 values to average are not finite")],
)
def test_values_without_a_mean_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        bootstrap_mean([f"p{i}" for i in range(len(values))], values, seed=0)


def test_pools_of_different_problems_are_not_paired():
    with pytest.raises(ValueError, match="2 problems are in one of the two pools only"):
        paired_difference({"a": [1.0]}, {"b": [1.0]}, seed=0)
