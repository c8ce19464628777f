"""What a gap report says: voting against refining on the same groups, with intervals, parts and controls.

Scores are fractions 0..1, differences are of fractions, and tokens are means.
"""

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gsr_dagster.method.candidate_pool import CandidatePool
from gsr_dagster.method.rows import Row
from gsr_dagster.method.scoring.agreement import ComparedLabels
from gsr_dagster.method.scoring.intervals import Interval, bootstrap_mean
from gsr_dagster.method.scoring.pool_curves import PoolCurves
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
from gsr_dagster.method.scoring.scores import Graded, GroupScore
from gsr_dagster.method.scoring.tokens import mean, prompt_tokens, total

# The scores that not every pool has.
SCORED = ("pass_at_k", "maj_at_k", "self_ref_at_k", "refinement_gap")
# What is stored only where there is something to say.
RARE = ("by_overlap", "problems_at_k", "groups_not_refined", "vote_points", "prompt_tokens_per_refined_group", "labels")


@dataclass(frozen=True)
class Stratum(ByCorrect):
    """The groups with ``n_correct`` of k candidates correct, with the intervals of their scores."""

    intervals: dict[str, Interval]


@dataclass(frozen=True)
class VotePoint:
    """maj@k over all subsets of k samples, of the ``problems`` that have as many, and the mean tokens of so many samples.

    ``tokens`` are generated, ``prompt_tokens`` are read; None where some were not counted.
    """

    k: int
    problems: int
    score: Interval
    tokens: float
    prompt_tokens: float | None = None


@dataclass(frozen=True)
class Scores:
    """The scores of some problems and of their refined ``groups``; ``intervals`` holds each score by its name.

    Without a refined group there is no ``self_ref_at_k`` and no ``refinement_gap``, and
    ``maj_at_k`` is the vote over all subsets of k. ``pass_at_k`` is of the problems with
    at least k samples. A score of nothing is None, and has no interval.
    """

    problems: int
    groups: int
    pass_at_1: float
    pass_at_k: float | None
    maj_at_k: float | None
    self_ref_at_k: float | None
    refinement_gap: float | None
    intervals: dict[str, Interval]

    @property
    def refined(self) -> bool:
        """Whether there is a refined group."""
        return self.groups > 0


@dataclass(frozen=True)
class Means:
    """The vote and the refinement of some problems and of their refined ``groups``; see ``Scores``, which has intervals."""

    problems: int
    groups: int
    maj_at_k: float | None
    self_ref_at_k: float | None

    @property
    def refinement_gap(self) -> float | None:
        """selfRef@k − maj@k."""
        return None if self.maj_at_k is None or self.self_ref_at_k is None else self.self_ref_at_k - self.maj_at_k


@dataclass(frozen=True, kw_only=True)
class GapSummary(Scores):
    """A gap report's summary.

    ``pool_maj_at_k`` and ``pool_pass_at_k`` are lists over k = 1..n, over all k-subsets of a
    problem's samples. Where problems differ in their number of samples n is the largest, and
    each k counts the problems that have as many: ``problems_at_k``, None where all have n.
    ``groups_not_refined`` counts groups of recorded samples that nobody refined; what needs a
    refinement is of the ``groups`` that have one, and None where none has. ``by_overlap`` holds the scores of the ``clean`` problems and of those
    ``overlapping`` with training problems, where some overlap. ``diagnostics`` says what the
    refiner does with its candidates. ``vote_points`` holds the vote at k = 1, 2, 4 ... and n with its
    interval and cost; a report made before there were any has None. ``prompt_tokens_per_refined_group``
    are those of the candidates and of the refinement, None where some were not counted. ``labels`` are those that
    came with recorded samples, beside our verdicts.
    """

    unscored_problems: int
    k: int
    parts: GapParts | None
    by_correct: list[Stratum]
    fresh_sample: FreshSample | None
    equal_cost: EqualCost | None
    pool_maj_at_k: list[float]
    pool_pass_at_k: list[float]
    tokens_per_candidate: float
    tokens_per_vote: float | None
    tokens_per_refined_group: float | None
    by_overlap: dict[str, Scores] | None = None
    diagnostics: dict[str, Interval | None] = field(default_factory=dict)
    problems_at_k: list[int] | None = None
    groups_not_refined: int = 0
    vote_points: list[VotePoint] | None = None
    prompt_tokens_per_refined_group: float | None = None
    labels: ComparedLabels | None = None

    @property
    def problems_of_k(self) -> list[int]:
        """How many problems each k = 1..n counts."""
        return self.problems_at_k or [self.problems] * len(self.pool_pass_at_k)

    def document(self) -> dict[str, Any]:
        """Return the summary as it is stored: without what only overlapping, uneven or unrefined pools have."""
        document = dataclasses.asdict(self)
        return {name: value for name, value in document.items() if name not in RARE or value}


def graded(row: Row) -> Graded:
    """Return what scores need of a graded row."""
    return Graded(row["correct"], row["answer_class"], row["generated_tokens"], prompt_tokens(row))


def gap_summary(
    pool: CandidatePool, groups: Sequence[GroupScore], unscored_problems: int, overlapping: Collection[str] = ()
) -> GapSummary:
    """Return the scores of a pool and of its refined groups, of the problems that can be scored.

    Raises ValueError where the pool is empty.
    """
    k, seed = pool.k, pool.seed
    samples = {problem: [graded(row) for row in rows] for problem, rows in pool.by_problem.items()}
    if not samples:
        raise ValueError("the pool is empty")
    curves = PoolCurves.of(samples)
    correct = {problem: (sum(s.correct for s in rows), len(rows)) for problem, rows in samples.items()}
    touched = samples.keys() & set(overlapping)
    sides = {"clean": samples.keys() - touched, "overlapping": touched} if touched else {}
    of_side = {name: _scores(curves, groups, k, seed, side) for name, side in sides.items() if side}
    refined = list(dict.fromkeys(group.problem_id for group in groups))
    candidate_tokens = sum(g.candidate_tokens for g in groups)
    refined_tokens = candidate_tokens + sum(g.refinement_tokens for g in groups)
    # Next to one another: both draw among all problems, and draws are kept of few sizes.
    scores, vote_points = _scores(curves, groups, k, seed), _vote_points(curves, samples, seed)
    return GapSummary(
        **vars(scores),
        by_overlap=of_side or None,
        unscored_problems=unscored_problems,
        k=k,
        parts=gap_parts(groups) if groups else None,
        by_correct=[_stratum(stratum, groups, seed) for stratum in by_correct(groups, k)],
        fresh_sample=fresh_sample_control(groups, correct, k, seed),
        # Of the problems whose groups were refined, and as far as all of them go: the same problems at every k.
        equal_cost=equal_cost(groups, k, curves.shared_maj(refined)) if groups else None,
        pool_maj_at_k=curves.mean(curves.maj_at_k),
        pool_pass_at_k=curves.mean(curves.pass_at_k),
        tokens_per_candidate=sum(s.generated_tokens for rows in samples.values() for s in rows)
        / sum(map(len, samples.values())),
        tokens_per_vote=candidate_tokens / len(groups) if groups else None,
        tokens_per_refined_group=refined_tokens / len(groups) if groups else None,
        problems_at_k=curves.problems_at_k,
        groups_not_refined=sum(len(rows) // k for rows in samples.values()) - len(groups),
        vote_points=vote_points,
        prompt_tokens_per_refined_group=prompt_tokens_per_group(groups),
    )


def scores_of(pool: CandidatePool, groups: Sequence[GroupScore]) -> Scores:
    """Return the scores of a pool and of its refined groups, and nothing else. Raises ValueError where the pool is empty."""
    samples = {problem: [graded(row) for row in rows] for problem, rows in pool.by_problem.items()}
    return _scores(PoolCurves.of(samples), groups, pool.k, pool.seed)


def means_of(pool: CandidatePool, groups: Sequence[GroupScore]) -> Means:
    """Return the scores that compare voting with refining, without the intervals, which take most of the time."""
    if groups:
        maj, self_ref = (
            sum(values) / len(groups) for values in zip(*((g.vote, g.refined) for g in groups), strict=True)
        )
        return Means(len(pool.by_problem), len(groups), maj, self_ref)
    with_k = {p: [graded(row) for row in rows] for p, rows in pool.by_problem.items() if len(rows) >= pool.k}
    maj_at_k = PoolCurves.of(with_k).maj_at_k.values()
    maj = sum(float(curve[pool.k - 1]) for curve in maj_at_k) / len(with_k) if with_k else None
    return Means(len(pool.by_problem), 0, maj, None)


def group_intervals(groups: Sequence[GroupScore], seed: int) -> dict[str, Interval]:
    """Return voting, refining and their gap on the same groups, each with its interval over problems."""
    of_group = [group.problem_id for group in groups]
    return {
        "maj_at_k": bootstrap_mean(of_group, [group.vote for group in groups], seed),
        "self_ref_at_k": bootstrap_mean(of_group, [float(group.refined) for group in groups], seed),
        "refinement_gap": refinement_gap(groups, seed),
    }


def prompt_tokens_per_group(groups: Sequence[GroupScore]) -> float | None:
    """Return what was read on the mean for a refinement, its candidates included; None where some was not counted."""
    return mean(total([group.candidate_prompt_tokens, group.refinement_prompt_tokens]) for group in groups)


def _vote_points(curves: PoolCurves, samples: Mapping[str, Sequence[Graded]], seed: int) -> list[VotePoint]:
    most = max(len(curve) for curve in curves.maj_at_k.values())
    generated = {p: sum(s.generated_tokens for s in rows) / len(rows) for p, rows in samples.items()}
    read_by = {p: mean(s.prompt_tokens for s in rows) for p, rows in samples.items()}
    points = []
    for k in sorted({2**power for power in range(most.bit_length())} | {most}):
        having = [problem for problem, curve in curves.maj_at_k.items() if len(curve) >= k]
        score = bootstrap_mean(having, [float(curves.maj_at_k[problem][k - 1]) for problem in having], seed)
        read = mean(read_by[p] for p in having)
        tokens, prompts = k * sum(generated[p] for p in having) / len(having), None if read is None else k * read
        points.append(VotePoint(k, len(having), score, tokens, prompts))
    return points


def _stratum(stratum: ByCorrect, groups: Sequence[GroupScore], seed: int) -> Stratum:
    members = [group for group in groups if group.n_correct == stratum.n_correct]
    return Stratum(**vars(stratum), intervals=group_intervals(members, seed))


def _scores(
    curves: PoolCurves,
    groups: Sequence[GroupScore],
    k: int,
    seed: int,
    among: Collection[str] | None = None,
) -> Scores:
    """Return the scores of all problems or of those ``among`` them."""
    problems = [problem for problem in curves.pass_at_k if among is None or problem in among]
    counted = [group for group in groups if among is None or group.problem_id in among]
    with_k = [problem for problem in problems if len(curves.pass_at_k[problem]) >= k]
    intervals = {"pass_at_1": bootstrap_mean(problems, [float(curves.pass_at_k[p][0]) for p in problems], seed)}
    if with_k:
        intervals["pass_at_k"] = bootstrap_mean(with_k, [float(curves.pass_at_k[p][k - 1]) for p in with_k], seed)
    if counted:
        intervals |= group_intervals(counted, seed)
    elif with_k:
        intervals["maj_at_k"] = bootstrap_mean(with_k, [float(curves.maj_at_k[p][k - 1]) for p in with_k], seed)
    estimates = {name: intervals[name].estimate if name in intervals else None for name in SCORED}
    pass_at_1 = intervals["pass_at_1"].estimate
    return Scores(problems=len(problems), groups=len(counted), pass_at_1=pass_at_1, **estimates, intervals=intervals)
