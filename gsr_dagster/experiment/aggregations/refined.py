"""Aggregations in which a model reads the candidates and writes a new answer."""

from abc import ABC
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gsr_dagster.experiment.aggregations.base import (
    Aggregation,
    Contents,
    Fingerprints,
    Work,
    group_prompts,
    group_row,
)
from gsr_dagster.method.answers import answer_of
from gsr_dagster.method.candidate_pool import CandidatePool
from gsr_dagster.method.groups import Group
from gsr_dagster.method.prompting.prompts import summarise
from gsr_dagster.method.rows import Row
from gsr_dagster.method.scoring.intervals import bootstrap_mean
from gsr_dagster.method.scoring.tokens import NO_TOKENS, Tokens


class Refined(Aggregation, ABC):
    """A new answer to each group, graded later."""

    def settings(self, fingerprints: Fingerprints) -> dict[str, Any]:
        return fingerprints.self_refinement()

    def make(self, work: Work, pool: CandidatePool) -> Contents:
        return work.refine(group_prompts(self.groups(pool)))

    def rows(self, name: str, pool: CandidatePool, made: Sequence[Row], thinking_end: str | None) -> Iterator[Row]:
        by_id = {(row["prompt_id"], row["sample_index"]): row for row in made}
        for group, members in self.groups(pool):
            yield refined_row(name, group, members, by_id[group.id, 0], thinking_end, pool.domain)


def refined_row(
    name: str,
    group: Group,
    members: Sequence[Row],
    sample: Row,
    thinking_end: str | None,
    domain: str,
    before: Tokens = NO_TOKENS,
) -> Row:
    """Return the row of a new answer; ``before`` are the tokens of the rounds that led to it."""
    answer = answer_of(summarise(sample["text"], thinking_end), domain)
    return group_row(name, group, members, answer=answer, drawn=before + Tokens.of([sample]))


def refinement_minus(control: str, rows: Mapping[str, Sequence[Row]], seed: int, figure: str) -> dict[str, Any]:
    """Return the score of one refinement minus a control's on the same groups, as a figure; nothing where they share none."""
    refined = {row["group_id"]: row["correct"] for row in rows["self_refinement"]}
    answers = [row for row in rows[control] if row["group_id"] in refined]
    if not answers:
        return {}
    gains = [refined[row["group_id"]] - row["correct"] for row in answers]
    return {figure: bootstrap_mean([row["problem_id"] for row in answers], gains, seed)}
