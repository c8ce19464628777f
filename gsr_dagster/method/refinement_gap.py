"""The Refinement Gap, selfRef@k - maj@k on the same groups, with its paired interval.

Differences are of fractions (0.06 is 6 points). The unit of the bootstrap is the
problem: groups and samples of one problem are drawn together.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from gsr_dagster.method.scores import GroupScore

DRAWS = 10_000


@dataclass(frozen=True)
class Interval:
    """An estimate with its 95 % interval."""

    estimate: float
    low: float
    high: float

    @property
    def clear_of_zero(self) -> bool:
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class ByCorrect:
    """The groups with ``n_correct`` of k candidates correct: how many, and how each method did."""

    n_correct: int
    groups: int
    maj: float
    self_ref: float


def refinement_gap(groups: Sequence[GroupScore], seed: int) -> Interval:
    """Return mean(refined - vote) over the groups, with its paired bootstrap interval over problems."""
    return bootstrap_mean([g.problem_id for g in groups], [g.refined - g.vote for g in groups], seed)


def bootstrap_mean(problem_ids: Sequence[str], values: Sequence[float], seed: int) -> Interval:
    """Return the mean of the values and its 95 % percentile interval, drawing whole problems.

    ``problem_ids`` and ``values`` run in parallel, several values a problem. Source:
    Efron and Tibshirani 1993, chapter 13, with problems as the clusters. Raises
    ValueError where there is no value.
    """
    if not values:
        raise ValueError("no values to average: the pool is empty")
    per_problem: dict[str, list[float]] = defaultdict(list)
    for problem_id, value in zip(problem_ids, values, strict=True):
        per_problem[problem_id].append(value)
    sums = np.array([sum(v) for v in per_problem.values()])
    counts = np.array([len(v) for v in per_problem.values()])
    # How often each problem is drawn is all that a draw's mean depends on.
    draws = np.random.default_rng(seed).multinomial(len(sums), np.full(len(sums), 1 / len(sums)), size=DRAWS)
    means = (draws @ sums) / (draws @ counts)
    low, high = np.percentile(means, [2.5, 97.5])
    return Interval(float(sums.sum() / counts.sum()), float(low), float(high))


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


def by_correct(groups: Sequence[GroupScore], k: int) -> list[ByCorrect]:
    """Return voting and refining by N_c, the number of correct candidates, k down to 0; empty strata left out."""
    rows = []
    for n_correct in range(k, -1, -1):
        stratum = [g for g in groups if g.n_correct == n_correct]
        if stratum:
            maj = sum(g.vote for g in stratum) / len(stratum)
            self_ref = sum(g.refined for g in stratum) / len(stratum)
            rows.append(ByCorrect(n_correct, len(stratum), maj, self_ref))
    return rows
