"""Scores of a candidate pool and of its refinements, as fractions 0..1.

>>> pass_at_k(n=4, correct=1, k=1), pass_at_k(n=4, correct=1, k=4)
(0.25, 1.0)
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb

from gsr_dagster.method.answers import majority_vote
from gsr_dagster.method.groups import Group


@dataclass(frozen=True)
class Graded:
    """One graded sample. ``answer_class`` numbers the equal answers of a problem; None votes for none."""

    correct: bool
    answer_class: int | None
    generated_tokens: int


@dataclass(frozen=True)
class GroupScore:
    """What voting and refining made of one group."""

    problem_id: str
    group_id: str
    n_correct: int
    vote: float
    refined: bool
    candidate_tokens: int
    refinement_tokens: int


def pass_at_k(n: int, correct: int, k: int) -> float:
    """Return the unbiased pass@k, 1 - C(n-c, k) / C(n, k), of n samples with c correct.

    Source: Chen et al. 2021, arXiv 2107.03374, equation 1. Raises ValueError for k > n.
    """
    if not 0 <= correct <= n or not 1 <= k <= n:
        raise ValueError(f"pass@k wants 1 <= k <= n and 0 <= correct <= n, not n={n}, correct={correct}, k={k}")
    return 1.0 - comb(n - correct, k) / comb(n, k)


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
    )
