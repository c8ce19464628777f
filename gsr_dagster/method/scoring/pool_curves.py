"""pass@k and maj@k of a pool for every k, of problems that may differ in their number of samples.

>>> right, wrong = Graded(True, 0, 1), Graded(False, 1, 1)
>>> curves = PoolCurves.of({"p": [right, wrong], "q": [right]})
>>> curves.mean(curves.pass_at_k), curves.problems_at_k
([0.75, 1.0], [2, 1])
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from gsr_dagster.method.scoring.scores import Graded, pool_scores

Curves = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class PoolCurves:
    """pass@k and maj@k by problem, each of shape (n,): exact for k up to the problem's own number of samples."""

    pass_at_k: Curves
    maj_at_k: Curves

    @classmethod
    def of(cls, samples: Mapping[str, Sequence[Graded]]) -> "PoolCurves":
        """Return the curves of each problem's samples."""
        scores = {problem: pool_scores(of_problem) for problem, of_problem in samples.items()}
        passed = {problem: curve for problem, (curve, _) in scores.items()}
        return cls(passed, {problem: curve for problem, (_, curve) in scores.items()})

    @property
    def problems_at_k(self) -> list[int] | None:
        """How many problems have at least k samples, for k = 1..n, n the most; None where all have as many."""
        sizes = [len(curve) for curve in self.pass_at_k.values()]
        if min(sizes) == max(sizes):
            return None
        return [sum(size >= k for size in sizes) for k in range(1, max(sizes) + 1)]

    def mean(self, curves: Curves) -> list[float]:
        """Return the mean at k = 1..n, n the most: each k over the problems that have at least k samples.

        So one problem with few samples takes nothing from the others; ``problems_at_k`` says how many count.
        """
        longest = max(len(curve) for curve in curves.values())
        padded = [np.pad(curve, (0, longest - len(curve)), constant_values=np.nan) for curve in curves.values()]
        return np.nanmean(padded, axis=0).tolist()

    def shared_maj(self, problems: Sequence[str]) -> list[float]:
        """Return the mean maj@k of some problems for every k that all of them have: the same problems at each k."""
        shortest = min(len(self.maj_at_k[problem]) for problem in problems)
        return np.mean([self.maj_at_k[problem][:shortest] for problem in problems], axis=0).tolist()
