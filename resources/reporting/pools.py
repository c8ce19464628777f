"""What a report says of a whole pool: pass@k and maj@k at every k, and what it lacks beside others."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gsr_dagster.method.scoring.gap_summary import GapSummary
from resources.reporting.report_rows import ReportedGap


@dataclass(frozen=True)
class PoolPoint:
    """pass@k and maj@k over all subsets of k samples, of the ``problems`` with at least k of them."""

    k: int
    problems: int
    pass_at_k: float
    maj_at_k: float


def pool_points(pool: GapSummary) -> list[PoolPoint]:
    """Return the scores of a pool at k = 1, 2, 4 ..., at its groups' k, at the k that all problems have, and at the largest."""
    counts = pool.problems_of_k
    n, shared = len(counts), shared_k(pool)
    sizes = {2**power for power in range(n.bit_length())} | {pool.k, shared, n}
    return [
        PoolPoint(k, counts[k - 1], pool.pool_pass_at_k[k - 1], pool.pool_maj_at_k[k - 1])
        for k in sorted(sizes)
        if k <= n
    ]


def shared_k(pool: GapSummary) -> int:
    """Return the largest k that every problem has samples for."""
    return sum(count == pool.problems for count in pool.problems_of_k)


def needs_words(rows: Sequence[ReportedGap]) -> bool:
    """Return whether a pool is uneven or not wholly refined: then the pools' own scores are shown, and said what lacks."""
    return any(row.problems_at_k or row.groups_not_refined or not row.refined for row in rows)


def pool_notes(pool: GapSummary) -> Iterator[str]:
    """Yield what a reader of a pool's scores must know: what was not refined, and which problems a k counts."""
    k = pool.k
    if not pool.refined:
        yield f"nothing was refined, so there is no gap; maj@{k} is over all subsets of {k} samples"
    elif left := pool.groups_not_refined:
        of = f"{left:,} of {left + pool.groups:,} groups"
        yield f"{of} were not refined; maj@{k}, selfRef@{k} and the gap are of the other {pool.groups:,}"
    if counts := pool.problems_at_k:
        text = f"problems have {shared_k(pool):,} to {len(counts):,} samples, and each k counts those with at least k: "
        text += f"up to k = {shared_k(pool):,} these are all {pool.problems:,}, and beyond it other problems make other scores"
        with_k = counts[k - 1] if k <= len(counts) else 0
        if lacking := pool.problems - with_k:
            text += f"; {lacking:,} of {pool.problems:,} have fewer than {k}, and so no group"
        yield text
    elif len(pool.pool_pass_at_k) < k:
        yield f"problems have {len(pool.pool_pass_at_k):,} samples, fewer than {k}, and so no group"


def named_notes(rows: Sequence[ReportedGap]) -> list[str]:
    """Return the notes of all pools as sentences, each with the benchmark and model that it is about."""
    return [f"{row.benchmark}, {row.subject}: {note}." for row in rows for note in pool_notes(row)]
