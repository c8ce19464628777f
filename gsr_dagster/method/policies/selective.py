"""Refining only the groups whose vote is unsure, where how sure is enough is chosen on other problems.

>>> groups = [VotedGroup(f"p{n}", agreeing=2 if n % 2 else 4, vote=n % 2 == 0, refined=1.0, tokens=9) for n in range(8)]
>>> sorted(set(cross_fitted(groups, k=4, seed=0)))
[3]
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

# Part of every fingerprint: change it with how the threshold is chosen.
SELECTIVE_VERSION = "1"
FOLDS = 5


@dataclass(frozen=True)
class VotedGroup:
    """A group that was voted on and refined.

    ``agreeing`` candidates have the leading answer; ``vote`` and ``refined`` are right by 0..1, ``tokens`` are those
    of the refinement.
    """

    problem_id: str
    agreeing: int
    vote: float
    refined: float
    tokens: int


def cross_fitted(groups: Sequence[VotedGroup], k: int, seed: int) -> list[int]:
    """Return for each group below how many agreeing candidates it is refined: 0 never, k + 1 always.

    The problems are dealt into five folds; the groups of a fold get the threshold that scores best
    in the other four, so that no problem has a say in its own. Without other problems it is 0.
    """
    problems = sorted({group.problem_id for group in groups})
    random.Random(f"{seed}:folds").shuffle(problems)
    fold_of = {problem: number % FOLDS for number, problem in enumerate(problems)}
    chosen = {
        fold: best_threshold([group for group in groups if fold_of[group.problem_id] != fold], k)
        for fold in set(fold_of.values())
    }
    return [chosen[fold_of[group.problem_id]] for group in groups]


def best_threshold(groups: Sequence[VotedGroup], k: int) -> int:
    """Return the threshold 0..k + 1 under which the groups score best, the one with the fewest tokens where several do."""

    def gain(threshold: int) -> tuple[float, int]:
        refined = [group for group in groups if group.agreeing < threshold]
        return round(sum(g.refined - g.vote for g in refined), 9), -sum(g.tokens for g in refined)

    return max(range(k + 2), key=gain)
