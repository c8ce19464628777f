"""Rank correlation of a few points, with its interval.

>>> spearman([1.0, 2.0, 3.0], [0.1, 0.3, 0.2], seed=0)
Correlation(rho=0.5, low=None, high=None, points=3)
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gsr_dagster.method.scoring.intervals import DRAWS

FEWEST_FOR_AN_INTERVAL = 4


@dataclass(frozen=True)
class Correlation:
    """Spearman's rho of so many points, with its 95 % interval where there are enough of them."""

    rho: float
    low: float | None
    high: float | None
    points: int


def spearman(x: Sequence[float], y: Sequence[float], seed: int) -> Correlation | None:
    """Return Spearman's rank correlation; None where one side does not vary.

    Equal values share the mean of their ranks. The interval is the percentile bootstrap
    over whole points, 10,000 draws; a draw in which a side does not vary has no rho and
    is left out. Under 4 points there is no interval. Raises ValueError where the sides
    differ in length or a value is not finite.
    """
    sides = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    if len(x) != len(y) or not all(np.isfinite(side).all() for side in sides):
        raise ValueError(f"a correlation wants pairs of finite numbers, not {list(x)} and {list(y)}")
    points = len(x)
    if any(len(set(side)) < 2 for side in (x, y)):
        return None
    (rho,) = _rhos(*sides, np.ones((1, points)))
    if points < FEWEST_FOR_AN_INTERVAL:
        return Correlation(float(rho), None, None, points)
    draws = np.random.default_rng(seed).multinomial(points, [1 / points] * points, size=DRAWS)
    low, high = np.nanpercentile(_rhos(*sides, draws), [2.5, 97.5])
    return Correlation(float(rho), float(low), float(high), points)


def _rhos(x: np.ndarray, y: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return rho of each draw, (draws,), from how often it holds each point, (draws, points); nan where undefined."""
    x, y = (_centred_ranks(side, counts) for side in (x, y))
    spread = np.sqrt((counts * x**2).sum(axis=1) * (counts * y**2).sum(axis=1))
    together = (counts * x * y).sum(axis=1)
    return np.divide(together, spread, out=np.full(len(counts), np.nan), where=spread > 0)


def _centred_ranks(values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return each point's rank in each draw less the mean rank: half of the points below less half of those above."""
    return counts @ np.sign(values[:, None] - values[None, :]).T / 2
