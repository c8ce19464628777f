"""Means over problems with their 95 % interval and their standard error.

Problems are the unit: groups and samples of one problem are drawn together.

>>> bootstrap_mean(["p1", "p1", "p2", "p3"], [1.0, 0.0, 1.0, 1.0], seed=0)
Interval(estimate=0.75, low=0.5, high=1.0, standard_error=0.1875)
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

DRAWS = 10_000
NORMAL = 1.96  # standard errors to each side, of a 95 % interval
# Of so many problems the draws are kept, for all scores of a report: at most 80 MB.
FEW_PROBLEMS = 1000
# Drawing how often each of so many kinds comes is faster than drawing the problems: where their draws are kept, and else.
FEWEST_KINDS, FEW_KINDS, PROBLEMS_A_KIND = 8, 64, 8
DRAWN_AT_ONCE = 1 << 20
# What a processor's cache holds is counted faster.
COUNTED_AT_ONCE = 1 << 16


@dataclass(frozen=True)
class Interval:
    """An estimate with its 95 % interval and its cluster-robust standard error."""

    estimate: float
    low: float
    high: float
    standard_error: float

    @property
    def clear_of_zero(self) -> bool:
        return self.low > 0 or self.high < 0


def in_points(interval: Interval) -> str:
    """Return an interval of fractions in points.

    >>> in_points(Interval(-0.031, -0.094, 0.0, 0.02))
    '-3.1 [-9.4, +0.0]'
    """
    return "{:+.1f} [{:+.1f}, {:+.1f}]".format(
        *(100 * bound for bound in (interval.estimate, interval.low, interval.high))
    )


def bootstrap_mean(problem_ids: Sequence[str], values: Sequence[float], seed: int) -> Interval:
    """Return the mean of the values with its 95 % percentile interval, drawing whole problems 10,000 times.

    ``problem_ids`` and ``values`` run in parallel, several values a problem. Sources:
    Efron and Tibshirani 1993, chapter 13, with problems as the clusters; for the
    standard error Cameron and Miller 2015, equation 11, for a mean. It is 0 where there
    is one problem. Raises ValueError where there is no value, or one that is not finite.
    """
    if not len(values):
        raise ValueError("no values to average: the pool is empty")
    every = np.asarray(values, dtype=float)
    if not np.isfinite(every).all():
        raise ValueError(f"{np.count_nonzero(~np.isfinite(every))} of {len(every)} values to average are not finite")
    clusters = {problem_id: number for number, problem_id in enumerate(dict.fromkeys(problem_ids))}
    of_value = np.array([clusters[problem_id] for problem_id in problem_ids])
    sums = np.bincount(of_value, weights=every)
    counts = np.bincount(of_value)
    mean = float(sums.sum() / counts.sum())
    low, high = np.percentile(_drawn_means(sums, counts, seed), [2.5, 97.5])
    return Interval(mean, float(low), float(high), _standard_error(sums, counts, mean))


def _drawn_means(sums: np.ndarray, counts: np.ndarray, seed: int) -> np.ndarray:
    """Return the mean of every draw of whole problems, from each problem's sum and count: float64 of shape (DRAWS,).

    A draw's mean depends on how often each kind of problem is drawn. Kinds, the different pairs of sum and
    count, are few as a rule; where they are many, it is faster to draw the problems themselves.
    """
    problems = len(sums)
    kinds, kept = np.unique(np.stack([sums, counts]), axis=1, return_counts=True)
    draws_are_kept = problems <= FEW_PROBLEMS
    if len(kept) <= (FEWEST_KINDS if draws_are_kept else max(FEW_KINDS, problems // PROBLEMS_A_KIND)):
        draws = np.random.default_rng(seed).multinomial(problems, kept / problems, size=DRAWS)
        return (draws @ kinds[0]) / (draws @ kinds[1])
    if draws_are_kept:
        draws = _times_drawn(problems, seed)
        return (draws @ sums) / (draws @ counts.astype(float))
    rng, means = np.random.default_rng(seed), []
    for start in range(0, DRAWS, at_once := max(DRAWN_AT_ONCE // problems, 1)):
        drawn = rng.integers(problems, size=(min(at_once, DRAWS - start), problems), dtype=np.int32)
        means.append(sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1))
    return np.concatenate(means)


@lru_cache(maxsize=2)
def _times_drawn(problems: int, seed: int) -> np.ndarray:
    """Return how often each draw has each problem: float64 of shape (DRAWS, problems)."""
    drawn = np.random.default_rng(seed).integers(problems, size=(DRAWS, problems), dtype=np.int32)
    times, at_once = np.empty((DRAWS, problems)), max(COUNTED_AT_ONCE // problems, 1)
    for start in range(0, DRAWS, at_once):
        part = drawn[start : start + at_once]
        numbered = (part + np.arange(len(part))[:, None] * problems).ravel()
        times[start : start + at_once] = np.bincount(numbered, minlength=part.size).reshape(part.shape)
    return times


def _standard_error(sums: np.ndarray, counts: np.ndarray, mean: float) -> float:
    clusters = len(sums)
    if clusters < 2:
        return 0.0
    residuals = sums - mean * counts
    return float(np.sqrt(clusters / (clusters - 1) * (residuals**2).sum()) / counts.sum())


def paired_difference(
    after: Mapping[str, Sequence[float]], before: Mapping[str, Sequence[float]], seed: int
) -> Interval:
    """Return mean(after) - mean(before) of per-problem values, paired over the problems of both.

    Each problem's values are averaged first. Raises ValueError where the problems differ.
    """
    if after.keys() != before.keys():
        raise ValueError(f"{len(after.keys() ^ before.keys())} problems are in one of the two pools only")
    differences = [float(np.mean(after[p]) - np.mean(before[p])) for p in before]
    return bootstrap_mean(list(before), differences, seed)


def unpaired_difference(after: Sequence[float], before: Sequence[float]) -> Interval:
    """Return mean(after) - mean(before) of independent values, with its normal 95 % interval (Welch 1947).

    >>> in_points(unpaired_difference([0.4, 0.6], [0.1, 0.3]))
    '+30.0 [+2.3, +57.7]'

    Raises ValueError where one has fewer than two values.
    """
    if min(len(after), len(before)) < 2:
        raise ValueError("a difference of means wants two values of each at least")
    estimate = float(np.mean(after) - np.mean(before))
    error = float(np.sqrt(np.var(after, ddof=1) / len(after) + np.var(before, ddof=1) / len(before)))
    return Interval(estimate, estimate - NORMAL * error, estimate + NORMAL * error, error)
