"""Refining the refinements, round by round."""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from gsr_dagster.experiment.aggregations.base import (
    OWN_VOTE,
    Contents,
    Fingerprints,
    Pools,
    Work,
    group_prompts,
    voted_row,
)
from gsr_dagster.experiment.aggregations.refined import Refined, refined_row
from gsr_dagster.experiment.settings import Count
from gsr_dagster.method.candidate_pool import CandidatePool, ShownGroup
from gsr_dagster.method.prompting.prompts import summarise
from gsr_dagster.method.rows import Row
from gsr_dagster.method.scoring.tokens import Tokens


class RepeatedRefinement(Refined):
    """Every round but the last refines a group k times, and the k refinements are the next round's group.

    So every group is its own tree, and is held against the vote over the same candidates. With
    ``widths`` each round has a width of its own, the candidates first: [32, 4] shows 32
    candidates, draws 4 refinements of them, and one of those, as PaCoRe does (arXiv 2601.05593).
    """

    kind: Literal["repeated_refinement"]
    rounds: Annotated[int, Field(ge=2)] = 2
    widths: Annotated[list[Count], Field(min_length=2)] | None = None

    @model_validator(mode="after")
    def _one_of_them(self) -> "RepeatedRefinement":
        if self.widths is not None and "rounds" in self.model_fields_set:
            raise ValueError("widths says how many rounds there are: leave rounds out")
        return self

    def settings(self, fingerprints: Fingerprints) -> dict[str, Any]:
        widths = {} if self.widths is None else {"widths": self.widths}
        return {**super().settings(fingerprints), **widths}

    def wanted(self) -> dict[str, Any]:
        return {"rounds": self.rounds} if self.widths is None else {}

    def least_samples(self, k: int) -> int:
        return self._widths(k)[0]

    def cost(self, pools: Pools) -> tuple[int, int]:
        first, *later = self._widths(pools.k)
        groups = pools.groups if self.widths is None else pools.candidates // first
        return groups * (len(later) + 1), groups * (sum(later) + 1)

    def groups(self, pool: CandidatePool) -> list[ShownGroup]:
        """Return the pool's own groups, or those of as many candidates as the first width says."""
        if self._own(pool):
            return pool.groups
        first = self._widths(pool.k)[0]
        return dataclasses.replace(pool, subject=f"{pool.subject}/k{first}", k=first).groups

    def make(self, work: Work, pool: CandidatePool) -> Contents:
        later = self._widths(pool.k)[1:]
        prompts = {prompt.id: prompt for prompt in group_prompts(self.groups(pool))}
        for number, width in enumerate(later, start=1):
            of_round = [dataclasses.replace(prompt, id=round_id(group, number)) for group, prompt in prompts.items()]
            samples = work.answers(work.refine(of_round, samples=width))
            for group, prompt in prompts.items():
                drawn = [samples[f"{round_id(group, number)}/{index}"] for index in range(width)]
                prompts[group] = dataclasses.replace(
                    prompt,
                    shown_ids=tuple(row["sample_id"] for row in drawn),
                    summaries=tuple(summarise(row["text"], work.thinking_end) for row in drawn),
                )
        number = len(later) + 1
        return work.refine(
            [dataclasses.replace(prompt, id=round_id(group, number)) for group, prompt in prompts.items()]
        )

    def rows(self, name: str, pool: CandidatePool, made: Sequence[Row], thinking_end: str | None) -> Iterator[Row]:
        by_id = {(row["prompt_id"], row["sample_index"]): row for row in made}
        later = self._widths(pool.k)[1:]
        for group, members in self.groups(pool):
            if not self._own(pool):
                yield voted_row(name + OWN_VOTE, group, members)
            before = Tokens.of(
                by_id[round_id(group.id, number), index]
                for number, width in enumerate(later, start=1)
                for index in range(width)
            )
            last = by_id[round_id(group.id, len(later) + 1), 0]
            yield refined_row(name, group, members, last, thinking_end, pool.domain, before)

    def _widths(self, k: int) -> list[int]:
        return self.widths or [k] * self.rounds

    def _own(self, pool: CandidatePool) -> bool:
        """Return whether its groups are the pool's own."""
        return self._widths(pool.k)[0] == pool.k


def round_id(group_id: str, number: int) -> str:
    """Return the id of a group in a round, 1..."""
    return f"{group_id}/r{number}"
