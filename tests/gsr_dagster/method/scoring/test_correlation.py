import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gsr_dagster.method.scoring.correlation import spearman

points = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=2, max_size=8)


def ranks(values: list[float]) -> list[float]:
    """Average ranks, by sorting: the mean place of a value's first and last occurrence."""
    ordered = sorted(values)
    return [(ordered.index(v) + len(ordered) - 1 - ordered[::-1].index(v)) / 2 for v in values]


def rho_by_sorting(x: list[float], y: list[float]) -> float:
    return float(np.corrcoef(ranks(x), ranks(y))[0, 1])


@given(pairs=points)
def test_rho_is_the_correlation_of_average_ranks(pairs):
    x, y = map(list, zip(*pairs, strict=True))
    found = spearman(x, y, seed=0)
    if min(len(set(x)), len(set(y))) == 1:
        assert found is None
    else:
        assert found.rho == pytest.approx(rho_by_sorting(x, y))


def test_the_interval_is_that_of_drawing_points_one_by_one():
    rng = np.random.default_rng(1)
    x = rng.normal(0, 1, 9)
    y = x + rng.normal(0, 0.8, 9)
    draws = []
    for _ in range(4000):
        drawn = rng.integers(0, 9, 9)
        draws.append(rho_by_sorting(list(x[drawn]), list(y[drawn])))
    found = spearman(x.tolist(), y.tolist(), seed=0)
    assert found.low == pytest.approx(np.nanpercentile(draws, 2.5), abs=0.04)
    assert found.high == pytest.approx(np.nanpercentile(draws, 97.5), abs=0.04)


def test_under_four_points_there_is_a_rho_and_no_interval():
    found = spearman([1, 2, 3], [3, 2, 1], seed=0)
    assert (found.rho, found.low, found.high, found.points) == (-1, None, None, 3)
    assert spearman([1, 2, 3, 4], [4, 3, 2, 1], seed=0).high == -1


def test_sides_of_different_lengths_and_values_that_are_not_finite_are_refused():
    with pytest.raises(ValueError, match="pairs of finite numbers"):
        spearman([1, 2], [1, 2, 3], seed=0)
    with pytest.raises(ValueError, match="pairs of finite numbers"):
        spearman([1, float("nan")], [1, 2], seed=0)
