"""Refining only where the vote is unsure."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal

from gsr_dagster.experiment.aggregations.base import (
    Aggregation,
    Contents,
    Fingerprints,
    Work,
    group_row,
    voted_row,
)
from gsr_dagster.method.candidate_pool import CandidatePool
from gsr_dagster.method.policies.selective import SELECTIVE_VERSION, VotedGroup, cross_fitted
from gsr_dagster.method.rows import Row
from gsr_dagster.method.scoring.aggregation_summary import cost_point
from gsr_dagster.method.scoring.tokens import Tokens


class SelectiveRefinement(Aggregation):
    """The vote where enough candidates agree, and the group's refinement elsewhere.

    Nothing is drawn: the vote and the refinement of every group are there. How many candidates
    are enough is chosen on other problems, so that the score is honest. What each number would
    give stands beside it as a curve.
    """

    draws: ClassVar[bool] = False
    of_refinements: ClassVar[bool] = True

    kind: Literal["selective_refinement"]

    def settings(self, fingerprints: Fingerprints) -> dict[str, Any]:
        chosen = {"grader": fingerprints.grader, "threshold": SELECTIVE_VERSION}
        return {**fingerprints.self_refinement(), **chosen}

    def make(self, work: Work, pool: CandidatePool) -> Contents:
        members_of = {group.id: members for group, members in pool.groups}
        gaps = [row for row in work.refined_groups() if row["group_id"] in members_of]
        voted = [
            VotedGroup(
                row["problem_id"],
                _agreeing(members_of[row["group_id"]]),
                row["vote"],
                float(row["refined"]),
                row["refinement_tokens"],
            )
            for row in gaps
        ]
        return work.computed(
            [
                {
                    **{name: row.get(name) for name in ("group_id", "answer", "refinement_prompt_tokens")},
                    "refined_below": threshold,
                    **vars(group),
                }
                for row, group, threshold in zip(gaps, voted, cross_fitted(voted, pool.k, pool.seed), strict=True)
            ]
        )

    def rows(self, name: str, pool: CandidatePool, made: Sequence[Row], thinking_end: str | None) -> Iterator[Row]:
        """Yield the row of every refined group, and under NAME/N what it is where fewer than N agreeing are refined."""
        by_group = {row["group_id"]: row for row in made}
        for group, members in self.groups(pool):
            row = by_group.get(group.id)
            if row is None:  # recorded samples that nobody refined
                continue
            for label, threshold in ((name, row["refined_below"]), *_thresholds(name, pool.k)):
                if row["agreeing"] < threshold:
                    # What was computed before prompts were counted lacks them.
                    drawn = Tokens(row["tokens"], row.get("refinement_prompt_tokens"))
                    refined = group_row(label, group, members, row["refined"], answer=row["answer"], drawn=drawn)
                    made_of = {**refined, "samples": len(members) + 1}
                else:
                    made_of = {**voted_row(label, group, members), "samples": len(members)}
                yield made_of

    def figures(self, name: str, rows: Mapping[str, Sequence[Row]], k: int, seed: int) -> dict[str, Any]:
        """Return ``points``: score and tokens by how many agreeing candidates are refined, from none to all groups."""
        if not rows.get(name):
            return {}
        named = {0: "never", k + 1: "always"}
        return {
            "points": [
                cost_point(named.get(threshold, f"under {threshold} of {k}"), rows[label], seed)
                for label, threshold in _thresholds(name, k)
            ]
        }


def _thresholds(name: str, k: int) -> list[tuple[str, int]]:
    return [(f"{name}/{threshold}", threshold) for threshold in range(k + 2)]


def _agreeing(members: Sequence[Row]) -> int:
    """Return how many candidates have the answer that most have."""
    return max(Counter(row["answer_class"] for row in members if row["answer_class"] is not None).values(), default=0)
