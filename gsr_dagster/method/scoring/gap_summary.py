"""What a gap report says: voting against refining on the same groups, with intervals, parts and controls.

Scores are fractions 0..1, differences are of fractions, and tokens are means.
"""

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gsr_dagster.method.candidate_pool import CandidatePool
from gsr_dagster.method.rows import Row
from gsr_dagster.method.scoring.intervals import Interval, bootstrap_mean
from gsr_dagster.method.scoring.refinement_gap import (
    ByCorrect,
    EqualCost,
    FreshSample,
    GapParts,
    by_correct,
    equal_cost,
    fresh_sample_control,
    gap_parts,
    refinement_gap,
)
from gsr_dagster.method.scoring.scores import Graded, GroupScore, pool_scores


@dataclass(frozen=True)
class Stratum(ByCorrect):
    """The groups with ``n_correct`` of k candidates correct, with the intervals of their scores."""

    intervals: dict[str, Interval]


@dataclass(frozen=True)
class Scores:
    """The scores of some problems; ``intervals`` holds each score by its name."""

    problems: int
    groups: int
    pass_at_1: float
    pass_at_k: float
    maj_at_k: float
    self_ref_at_k: float
    refinement_gap: float
    intervals: dict[str, Interval]


@dataclass(frozen=True, kw_only=True)
class GapSummary(Scores):
    """A gap report's summary.

    ``pool_maj_at_k`` and ``pool_pass_at_k`` are lists over k = 1..n, over all k-subsets of a
    problem's samples. ``by_overlap`` holds the scores of the ``clean`` problems and of those
    ``overlapping`` with training problems, where some overlap. ``diagnostics`` says what the
    refiner does with its candidates.
    """

    unscored_problems: int
    k: int
    parts: GapParts
    by_correct: list[Stratum]
    fresh_sample: FreshSample | None
    equal_cost: EqualCost
    pool_maj_at_k: list[float]
    pool_pass_at_k: list[float]
    tokens_per_candidate: float
    tokens_per_vote: float
    tokens_per_refined_group: float
    by_overlap: dict[str, Scores] | None = None
    diagnostics: dict[str, Interval | None] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """Return the summary as it is stored: without ``by_overlap`` where no problem overlaps."""
        document = dataclasses.asdict(self)
        return {name: value for name, value in document.items() if name != "by_overlap" or value is not None}


def graded(row: Row) -> Graded:
    """Return what scores need of a graded row."""
    return Graded(row["correct"], row["answer_class"], row["generated_tokens"])


def gap_summary(
    pool: CandidatePool, groups: Sequence[GroupScore], unscored_problems: int, overlapping: Collection[str] = ()
) -> GapSummary:
    """Return the scores of a pool and of its refined groups, of the problems that can be scored.

    Raises ValueError where the pool is empty.
    """
    k, seed = pool.k, pool.seed
    samples = {problem: [graded(row) for row in rows] for problem, rows in pool.by_problem.items()}
    curves = {problem: pool_scores(of_problem) for problem, of_problem in samples.items()}
    if not curves:
        raise ValueError("the pool is empty")
    pass_at_k, maj_at_k = (np.array(curve) for curve in zip(*curves.values(), strict=True))
    correct = {problem: (sum(s.correct for s in rows), len(rows)) for problem, rows in samples.items()}
    pool_maj = maj_at_k.mean(axis=0)
    chances = {problem: pass_curve for problem, (pass_curve, _) in curves.items()}
    touched = chances.keys() & set(overlapping)
    sides = {"clean": chances.keys() - touched, "overlapping": touched} if touched else {}
    return GapSummary(
        **vars(_scores(chances, groups, k, seed)),
        by_overlap={name: _scores(chances, groups, k, seed, side) for name, side in sides.items() if side} or None,
        unscored_problems=unscored_problems,
        k=k,
        parts=gap_parts(groups),
        by_correct=[_stratum(stratum, groups, seed) for stratum in by_correct(groups, k)],
        fresh_sample=fresh_sample_control(groups, correct, k, seed),
        equal_cost=equal_cost(groups, k, pool_maj.tolist()),
        pool_maj_at_k=pool_maj.tolist(),
        pool_pass_at_k=pass_at_k.mean(axis=0).tolist(),
        tokens_per_candidate=sum(s.generated_tokens for rows in samples.values() for s in rows)
        / sum(map(len, samples.values())),
        tokens_per_vote=sum(g.candidate_tokens for g in groups) / len(groups),
        tokens_per_refined_group=sum(g.candidate_tokens + g.refinement_tokens for g in groups) / len(groups),
    )


def group_intervals(groups: Sequence[GroupScore], seed: int) -> dict[str, Interval]:
    """Return voting, refining and their gap on the same groups, each with its interval over problems."""
    of_group = [group.problem_id for group in groups]
    return {
        "maj_at_k": bootstrap_mean(of_group, [group.vote for group in groups], seed),
        "self_ref_at_k": bootstrap_mean(of_group, [float(group.refined) for group in groups], seed),
        "refinement_gap": refinement_gap(groups, seed),
    }


def _stratum(stratum: ByCorrect, groups: Sequence[GroupScore], seed: int) -> Stratum:
    members = [group for group in groups if group.n_correct == stratum.n_correct]
    return Stratum(**vars(stratum), intervals=group_intervals(members, seed))


def _scores(
    chances: Mapping[str, np.ndarray],
    groups: Sequence[GroupScore],
    k: int,
    seed: int,
    among: Collection[str] | None = None,
) -> Scores:
    """Return the scores of all problems or of those ``among`` them. ``chances`` is pass@1..n by problem."""
    problems = [problem for problem in chances if among is None or problem in among]
    counted = [group for group in groups if among is None or group.problem_id in among]
    intervals = {
        "pass_at_1": bootstrap_mean(problems, [float(chances[p][0]) for p in problems], seed),
        "pass_at_k": bootstrap_mean(problems, [float(chances[p][k - 1]) for p in problems], seed),
        **group_intervals(counted, seed),
    }
    estimates = {name: interval.estimate for name, interval in intervals.items()}
    return Scores(problems=len(problems), groups=len(counted), **estimates, intervals=intervals)
