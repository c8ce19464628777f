"""The Refinement Gap, selfRef@k - maj@k on the same groups: its interval, its parts, its controls.

Differences are of fractions (0.06 is 6 points).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gsr_dagster.method.scoring.intervals import Interval, bootstrap_mean
from gsr_dagster.method.scoring.scores import GroupScore


@dataclass(frozen=True)
class ByCorrect:
    """The groups with ``n_correct`` of k candidates correct: how many, how each method did, their part of the gap."""

    n_correct: int
    groups: int
    maj: float
    self_ref: float
    part_of_gap: float


@dataclass(frozen=True)
class GapParts:
    """Where the gap comes from: gap = rescued + rescued_all_wrong - broken.

    ``rescued``: the vote was wrong and the refinement right, with a correct candidate
    among the k. ``rescued_all_wrong``: the same without one. ``broken``: the vote was
    right and the refinement wrong. A vote tied with others counts by its share.
    """

    rescued: float
    rescued_all_wrong: float
    broken: float


@dataclass(frozen=True)
class FreshSample:
    """On all-wrong groups: what refining got, and what one more direct sample would have got."""

    groups: int
    self_ref: float
    fresh: float
    difference: Interval


@dataclass(frozen=True)
class EqualCost:
    """k candidates and a refinement cost ``tokens``; ``samples`` candidates cost the same, and vote to ``maj``.

    ``samples`` is a mean, so a fraction. ``maj`` is None where the pool holds fewer.
    """

    k: int
    tokens: float
    samples: float
    self_ref: float
    maj: float | None


def refinement_gap(groups: Sequence[GroupScore], seed: int) -> Interval:
    """Return mean(refined - vote) over the groups, with its paired bootstrap interval over problems."""
    return bootstrap_mean([g.problem_id for g in groups], [g.refined - g.vote for g in groups], seed)


def gap_parts(groups: Sequence[GroupScore]) -> GapParts:
    """Return the parts that add up to the gap. Raises ValueError where there is no group."""
    if not groups:
        raise ValueError("no groups: the pool is empty")
    won = [(g, g.refined * (1 - g.vote)) for g in groups]
    return GapParts(
        rescued=sum(share for g, share in won if g.n_correct) / len(groups),
        rescued_all_wrong=sum(share for g, share in won if not g.n_correct) / len(groups),
        broken=sum((not g.refined) * g.vote for g in groups) / len(groups),
    )


def by_correct(groups: Sequence[GroupScore], k: int) -> list[ByCorrect]:
    """Return voting and refining by N_c, the number of correct candidates, k down to 0; empty strata left out."""
    rows = []
    for n_correct in range(k, -1, -1):
        stratum = [g for g in groups if g.n_correct == n_correct]
        if stratum:
            maj = sum(g.vote for g in stratum) / len(stratum)
            self_ref = sum(g.refined for g in stratum) / len(stratum)
            part = (self_ref - maj) * len(stratum) / len(groups)
            rows.append(ByCorrect(n_correct, len(stratum), maj, self_ref, part))
    return rows


def fresh_sample_control(
    groups: Sequence[GroupScore], pools: Mapping[str, tuple[int, int]], k: int, seed: int
) -> FreshSample | None:
    """Hold refining on all-wrong groups against luck: one more sample, of the problem's other groups.

    ``pools`` holds (correct, n) of each problem's samples. All-wrong groups of a problem
    without other samples do not count; None where no group is left.
    """
    left = [g for g in groups if g.n_correct == 0 and pools[g.problem_id][1] > k]
    if not left:
        return None
    # The group itself holds none of the problem's correct samples.
    fresh = [pools[g.problem_id][0] / (pools[g.problem_id][1] - k) for g in left]
    difference = [g.refined - chance for g, chance in zip(left, fresh, strict=True)]
    return FreshSample(
        groups=len(left),
        self_ref=sum(g.refined for g in left) / len(left),
        fresh=sum(fresh) / len(left),
        difference=bootstrap_mean([g.problem_id for g in left], difference, seed),
    )


def equal_cost(groups: Sequence[GroupScore], k: int, maj: Sequence[float]) -> EqualCost:
    """Hold refining against voting for the same generated tokens. ``maj`` is the pool's maj@1..n.

    Between two whole numbers of samples maj@m is drawn as a line. Raises ValueError
    where there is no group, or no token was generated.
    """
    candidates = sum(g.candidate_tokens for g in groups)
    if not candidates:
        raise ValueError(f"{len(groups)} groups without a generated token cost nothing")
    tokens = (candidates + sum(g.refinement_tokens for g in groups)) / len(groups)
    samples = tokens / (candidates / (len(groups) * k))
    below = int(samples)
    voted = None
    if samples <= len(maj):
        above = min(below + 1, len(maj))
        voted = float(maj[below - 1] + (samples - below) * (maj[above - 1] - maj[below - 1]))
    return EqualCost(k, tokens, samples, sum(g.refined for g in groups) / len(groups), voted)
