"""A vote that stops sampling once it is sure enough, on the candidates that are there."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from gsr_dagster.experiment.aggregations.base import (
    OWN_VOTE,
    Aggregation,
    Contents,
    Fingerprints,
    Work,
    drawn_until,
    group_row,
    right_class,
    voted_row,
    whole_problems,
)
from gsr_dagster.method.candidate_pool import CandidatePool, ShownGroup
from gsr_dagster.method.policies.stopping import CONFIDENCES, STOPPING_VERSION, StoppingRule, stopped
from gsr_dagster.method.rows import Row
from gsr_dagster.method.scoring.aggregation_summary import cost_point


class AdaptiveConsistency(Aggregation):
    """The vote of the candidates drawn until a rule stops (arXiv 2305.11860), on average over 16 orders of a problem's.

    Nothing is drawn: it says what sampling one by one would have cost. It is held against the
    vote of all candidates; the other rules and confidences stand beside it as a curve.
    """

    draws: ClassVar[bool] = False

    kind: Literal["adaptive_consistency"]
    rule: StoppingRule = "beta"
    confidence: Annotated[float, Field(gt=0, lt=1)] = 0.95

    @property
    def chosen(self) -> tuple[StoppingRule, float | None]:
        """The rule and confidence of its row in the table."""
        return self.rule, None if self.rule == "decided" else self.confidence

    @property
    def points(self) -> list[tuple[StoppingRule, float | None]]:
        """The rules and confidences of its curve, its own among them."""
        sure = sorted({*CONFIDENCES, self.confidence})
        return [*(("beta", c) for c in sure), *(("dirichlet", c) for c in sure), ("decided", None)]

    def settings(self, fingerprints: Fingerprints) -> dict[str, Any]:
        shaped = {"rule": self.rule, "confidence": self.confidence, "rules": STOPPING_VERSION}
        return {"pool": fingerprints.pool, "grader": fingerprints.grader, **shaped}

    def groups(self, pool: CandidatePool) -> list[ShownGroup]:
        return whole_problems(pool)

    def make(self, work: Work, pool: CandidatePool) -> Contents:
        rows: list[Row] = []
        for group, members in self.groups(pool):
            classes = [row["answer_class"] for row in members]
            tokens = [row["generated_tokens"] for row in members]
            made = stopped(classes, tokens, right_class(members), self.points, f"{pool.seed}:{group.id}")
            rows += ({"problem_id": group.problem_id, **dataclasses.asdict(point)} for point in made)
        return work.computed(rows)

    def rows(self, name: str, pool: CandidatePool, made: Sequence[Row], thinking_end: str | None) -> Iterator[Row]:
        """Yield a row for each rule and confidence: its own under NAME, the others under NAME/RULE/CONFIDENCE; and the vote."""
        by_problem: dict[str, list[Row]] = {}
        for row in made:
            by_problem.setdefault(row["problem_id"], []).append(row)
        for group, members in self.groups(pool):
            yield voted_row(name + OWN_VOTE, group, members)
            for point in by_problem[group.problem_id]:
                label = self._label(name, point["rule"], point["confidence"])
                row = group_row(label, group, members, correct=point["correct"])
                yield drawn_until(row, members, point["samples"], point["tokens"])

    def figures(self, name: str, rows: Mapping[str, Sequence[Row]], k: int, seed: int) -> dict[str, Any]:
        """Return ``points``: score, samples and tokens by rule and confidence."""
        if not rows.get(name):
            return {}
        drawn = [(rule, confidence, rows[self._label(name, rule, confidence)]) for rule, confidence in self.points]
        return {
            "points": [
                cost_point(rule if confidence is None else f"{rule} {confidence:g}", of_point, seed)
                for rule, confidence, of_point in drawn
            ]
        }

    def _label(self, name: str, rule: StoppingRule, confidence: float | None) -> str:
        if (rule, confidence) == self.chosen:
            return name
        return f"{name}/{rule}" if confidence is None else f"{name}/{rule}/{confidence:g}"
