"""A vote that stops drawing candidates of which the model is not sure, on the candidates that are there."""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from gsr_dagster.experiment.aggregations.base import (
    OWN_VOTE,
    Contents,
    Fingerprints,
    Work,
    drawn_until,
    group_row,
    right_class,
    voted_row,
)
from gsr_dagster.experiment.aggregations.confident import OfConfidence
from gsr_dagster.experiment.settings import Count
from gsr_dagster.method.candidate_pool import CandidatePool
from gsr_dagster.method.policies.confidence import stopped_traces
from gsr_dagster.method.rows import Row


class ConfidenceStop(OfConfidence):
    """Candidates are stopped where a window of tokens is unsure (DeepConf online, arXiv 2508.15260), on average over 16 orders.

    The first ``warm_up`` candidates are drawn whole, and the lowest windows of the surest ``keep`` of them
    set the bar for the others. No more are drawn once the leading answer has the share ``consensus`` of
    the votes, which null leaves out. Nothing is drawn: it says what stopping would have cost.
    """

    kind: Literal["confidence_stop"]
    warm_up: Count = 16
    keep: Annotated[float, Field(gt=0, le=1)] = 0.9
    consensus: Annotated[float, Field(gt=0, le=1)] | None = 0.95

    def settings(self, fingerprints: Fingerprints) -> dict[str, Any]:
        shaped = {"warm_up": self.warm_up, "keep": self.keep, "consensus": self.consensus}
        return {**super().settings(fingerprints), "grader": fingerprints.grader, **shaped}

    def least_samples(self, k: int) -> int:
        return self.warm_up + 1

    def make(self, work: Work, pool: CandidatePool) -> Contents:
        traces = work.confidences(self.window)
        rows: list[Row] = []
        for group, members in self.groups(pool):
            made = stopped_traces(
                [row["answer_class"] for row in members],
                [row["generated_tokens"] for row in members],
                [traces[row["candidate_id"]] for row in members],
                right_class(members),
                self.warm_up,
                self.keep,
                self.consensus,
                f"{pool.seed}:{group.id}",
            )
            rows.append({"problem_id": group.problem_id, **dataclasses.asdict(made)})
        return work.computed(rows)

    def rows(self, name: str, pool: CandidatePool, made: Sequence[Row], thinking_end: str | None) -> Iterator[Row]:
        by_problem = {row["problem_id"]: row for row in made}
        for group, members in self.groups(pool):
            yield voted_row(name + OWN_VOTE, group, members)
            stopped = by_problem[group.problem_id]
            row = group_row(name, group, members, correct=stopped["correct"])
            yield drawn_until(row, members, stopped["samples"], stopped["tokens"])
