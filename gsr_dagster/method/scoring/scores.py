"""Scores of a candidate pool and of its groups, as fractions 0..1: exact, over all subsets of k.

>>> pass_at_k(n=4, correct=1)
array([0.25, 0.5 , 0.75, 1.  ])
>>> maj_at_k(correct=2, wrong=[1, 1])  # of three: both correct ones, or one among three different
array([0.5       , 0.5       , 0.66666667, 1.        ])
>>> best_of_k([0.9, 0.5, 0.1], [False, True, True])
array([0.66666667, 0.33333333, 0.        ])
"""

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from gsr_dagster.method.groups import Group
from gsr_dagster.method.scoring.tokens import total
from gsr_dagster.method.voting import majority_vote

# Beyond it the number of subsets leaves the range of a float.
MOST_SAMPLES = 1000
# The class of the answers that equal the gold.
GOLD_CLASS = 0


@dataclass(frozen=True)
class Graded:
    """One graded sample. ``answer_class`` is shared by the equal answers of a problem; None votes for none.

    ``prompt_tokens`` is None where nobody counted them.
    """

    correct: bool
    answer_class: Hashable | None
    generated_tokens: int
    prompt_tokens: float | None = None


@dataclass(frozen=True)
class GroupScore:
    """What voting and refining made of one group, and the tokens that were generated, and read in prompts, for both."""

    problem_id: str
    group_id: str
    n_correct: int
    vote: float
    refined: bool
    candidate_tokens: int
    refinement_tokens: int
    candidate_prompt_tokens: float | None = None
    refinement_prompt_tokens: float | None = None


def pass_at_k(n: int, correct: int) -> np.ndarray:
    """Return the unbiased pass@k, 1 - C(n-c, k) / C(n, k), for k = 1..n: float64 of shape (n,).

    Source: Chen et al. 2021, arXiv 2107.03374, equation 1. Raises ValueError unless
    0 <= correct <= n and 1 <= n <= 1000.
    """
    if not 0 <= correct <= n:
        raise ValueError(f"pass@k wants 0 <= correct <= n, not n={n}, correct={correct}")
    subsets = binomials(_checked(n))
    return 1.0 - subsets[n - correct, 1 : n + 1] / subsets[n, 1 : n + 1]


def maj_at_k(correct: int, wrong: Sequence[int], without_answer: int = 0) -> np.ndarray:
    """Return the expected majority vote over all k-subsets of a problem's samples, for k = 1..n.

    ``correct`` samples hold the correct answer, ``wrong`` lists how many hold each wrong
    one, ``without_answer`` do not vote. Tied answers share the vote evenly. The result is
    float64 of shape (n,), n the number of all samples. Raises ValueError for a negative
    count and unless 1 <= n <= 1000.
    """
    if min(correct, without_answer, *wrong, 0) < 0:
        raise ValueError(f"counts of samples cannot be negative: {correct}, {list(wrong)}, {without_answer}")
    return _maj_at_k(correct, tuple(sorted(wrong)), without_answer)


@lru_cache(maxsize=100_000)
def _maj_at_k(correct: int, wrong: tuple[int, ...], without_answer: int) -> np.ndarray:
    """For each number of correct votes, count the ways to choose the rest so that no rival has more.

    A rival with as many votes ties: with L of them the correct answer's share is
    1 / (1 + L), the integral of y^L over 0..1, which Gauss-Legendre nodes give exactly.
    """
    n = _checked(correct + sum(wrong) + without_answer)
    subsets = binomials(n)
    won = np.zeros(n + 1)
    for votes in range(1, correct + 1):
        rivals = [count for count in wrong if count >= votes]
        free = without_answer + sum(count for count in wrong if count < votes)
        y, weights = _nodes(len(rivals))
        ways = np.tile(subsets[free, : free + 1], (len(y), 1))
        for count in rivals:
            ways = _choose_up_to(ways, subsets[count, : votes + 1], y)
        won[votes : votes + ways.shape[1]] += subsets[correct, votes] * (weights @ ways)
    result = won[1:] / subsets[n, 1 : n + 1]
    result.flags.writeable = False  # it is shared by the cache
    return result


def _choose_up_to(ways: np.ndarray, choices: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Multiply polynomials in the subset's size: (nodes, a) by ``choices``, whose last term ties and weighs y."""
    product = np.zeros((len(y), ways.shape[1] + len(choices) - 1))
    for taken, count in enumerate(choices):
        weight = count * y[:, None] if taken == len(choices) - 1 else count
        product[:, taken : taken + ways.shape[1]] += weight * ways
    return product


@lru_cache(maxsize=1000)
def _nodes(degree: int) -> tuple[np.ndarray, np.ndarray]:
    """Return nodes and weights that integrate a polynomial of the degree over 0..1 exactly."""
    nodes, weights = np.polynomial.legendre.leggauss(degree // 2 + 1)
    return (nodes + 1) / 2, weights / 2


def best_of_k(scores: Sequence[float], correct: Sequence[bool]) -> np.ndarray:
    """Return how often the best scored of a k-subset is correct, over all k-subsets, for k = 1..n.

    ``scores`` are a reward model's, higher is better; tied samples are chosen evenly.
    float64 of shape (n,). Raises ValueError for a score that is not finite, for lists
    of different lengths, and unless 1 <= n <= 1000.
    """
    if not np.isfinite(scores).all():
        raise ValueError(f"scores must be finite numbers, not {next(s for s in scores if not np.isfinite(s))}")
    n = _checked(len(scores))
    subsets = binomials(n)
    result, left = np.zeros(n), n
    tied: dict[float, list[bool]] = {}
    for score, is_correct in zip(scores, correct, strict=True):
        tied.setdefault(score, []).append(is_correct)
    for score in sorted(tied, reverse=True):
        below = left - len(tied[score])
        best_is_here = subsets[left, 1 : n + 1] - subsets[below, 1 : n + 1]
        result += np.mean(tied[score]) * best_is_here
        left = below
    return result / subsets[n, 1 : n + 1]


def pool_scores(samples: Sequence[Graded]) -> tuple[np.ndarray, np.ndarray]:
    """Return pass@k and maj@k of one problem's n samples for k = 1..n, each of shape (n,)."""
    votes: Counter[Hashable] = Counter(s.answer_class for s in samples)
    correct = {s.answer_class for s in samples if s.correct}
    right = sum(votes[c] for c in correct)
    wrong = [count for c, count in votes.items() if c is not None and c not in correct]
    return pass_at_k(len(samples), right), maj_at_k(right, wrong, votes[None])


def score_group(group: Group, candidates: Sequence[Graded], refinement: Graded) -> GroupScore:
    """Score one group: ``candidates`` are all samples of its problem, by sample index."""
    shown = [candidates[index] for index in group.indices]
    correct = next((c.answer_class for c in shown if c.correct), None)
    return GroupScore(
        problem_id=group.problem_id,
        group_id=group.id,
        n_correct=sum(c.correct for c in shown),
        vote=majority_vote([c.answer_class for c in shown], correct),
        refined=refinement.correct,
        candidate_tokens=sum(c.generated_tokens for c in shown),
        refinement_tokens=refinement.generated_tokens,
        candidate_prompt_tokens=total(c.prompt_tokens for c in shown),
        refinement_prompt_tokens=refinement.prompt_tokens,
    )


@lru_cache(maxsize=100)
def binomials(n: int) -> np.ndarray:
    """Return C(a, b) for a, b = 0..n: float64 of shape (n + 1, n + 1)."""
    table = np.zeros((n + 1, n + 1))
    table[:, 0] = 1
    for a in range(1, n + 1):
        table[a, 1:] = table[a - 1, 1:] + table[a - 1, :-1]
    table.flags.writeable = False
    return table


def _checked(n: int) -> int:
    if not 1 <= n <= MOST_SAMPLES:
        raise ValueError(f"scores want 1 to {MOST_SAMPLES} samples of a problem, not {n}")
    return n
