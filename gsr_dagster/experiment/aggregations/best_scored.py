"""Aggregations that give each candidate a number and take the best: best-of-k."""

from abc import ABC
from collections.abc import Iterator, Sequence
from typing import ClassVar

from gsr_dagster.experiment.aggregations.base import Aggregation, group_row
from gsr_dagster.method.candidate_pool import CandidatePool
from gsr_dagster.method.rows import Row
from gsr_dagster.method.scoring.scores import best_of_k


class BestScored(Aggregation, ABC):
    """The best scored candidate of each group. Ties count by the share of the best that are right."""

    draws: ClassVar[bool] = False

    def rows(self, name: str, pool: CandidatePool, made: Sequence[Row], thinking_end: str | None) -> Iterator[Row]:
        by_candidate = {row["candidate_id"]: row for row in made}
        for group, members in self.groups(pool):
            scored = [by_candidate[row["candidate_id"]] for row in members]
            values = [row["score"] for row in scored]
            correct = best_of_k(values, [row["correct"] for row in members])[-1]
            best = [row for row, value in zip(members, values, strict=True) if value == max(values)]
            yield group_row(
                name,
                group,
                members,
                correct=float(correct),
                chosen=best[0]["candidate_id"] if len(best) == 1 else None,
                answer=best[0]["answer"] if len(best) == 1 else None,
                scored_tokens=sum(row["scored_tokens"] for row in scored),
            )
