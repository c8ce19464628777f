"""The control of every gap: one greedy answer to the problem, without candidates."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal

from gsr_dagster.experiment.aggregations.base import (
    Aggregation,
    Contents,
    Fingerprints,
    Pools,
    Work,
    without_candidates,
)
from gsr_dagster.experiment.aggregations.refined import refined_row, refinement_minus
from gsr_dagster.method.candidate_pool import CandidatePool
from gsr_dagster.method.rows import Row


class GreedyDirect(Aggregation):
    """One direct answer at temperature 0, held against every group of its problem.

    Candidates that are drawn hotter than a refinement give a gap that a greedy answer has
    too. So a gap is the reader's only where its refinements beat this.
    """

    direct: ClassVar[bool] = True

    kind: Literal["greedy_direct"]

    def settings(self, fingerprints: Fingerprints) -> dict[str, Any]:
        return {"pool": fingerprints.pool, "rollout": {**fingerprints.direct_rollout(), "temperature": 0.0}}

    def cost(self, pools: Pools) -> tuple[int, int]:
        return pools.problems, pools.problems

    def make(self, work: Work, pool: CandidatePool) -> Contents:
        return work.greedy_direct()

    def rows(self, name: str, pool: CandidatePool, made: Sequence[Row], thinking_end: str | None) -> Iterator[Row]:
        by_problem = {row["problem_id"]: row for row in made}
        for group, members in self.groups(pool):
            sample = by_problem[group.problem_id]
            yield without_candidates(refined_row(name, group, members, sample, thinking_end, pool.domain))

    def figures(self, name: str, rows: Mapping[str, Sequence[Row]], k: int, seed: int) -> dict[str, Any]:
        """Return ``refinement_minus_greedy``: the refinements' score minus this one's, on the same groups."""
        return refinement_minus(name, rows, seed, "refinement_minus_greedy")
