"""Refining the refinements, round by round."""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from gsr_dagster.experiment.aggregations.base import REFINE, Contents, Pools, Work, group_prompts
from gsr_dagster.experiment.aggregations.refined import Refined, refined_row
from gsr_dagster.method.candidate_pool import CandidatePool
from gsr_dagster.method.prompts import summarise
from gsr_dagster.method.rows import Row


class RepeatedRefinement(Refined):
    """Every round but the last refines a group k times, and the k refinements are the next round's group.

    So every group is its own tree, and is held against the vote over the same candidates.
    """

    kind: Literal["repeated_refinement"]
    rounds: Annotated[int, Field(ge=2)] = 2

    def wanted(self) -> dict[str, Any]:
        return {"rounds": self.rounds}

    def cost(self, pools: Pools) -> tuple[int, int]:
        return pools.groups * self.rounds, pools.groups * (pools.k * (self.rounds - 1) + 1)

    def make(self, work: Work, pool: CandidatePool) -> Contents:
        prompts = {prompt.id: prompt for prompt in group_prompts(pool.groups)}
        for number in range(1, self.rounds):
            of_round = [dataclasses.replace(prompt, id=round_id(group, number)) for group, prompt in prompts.items()]
            samples = work.answers(work.ask(of_round, REFINE, samples=pool.k))
            for group, prompt in prompts.items():
                drawn = [samples[f"{round_id(group, number)}/{index}"] for index in range(pool.k)]
                prompts[group] = dataclasses.replace(
                    prompt,
                    shown_ids=tuple(row["sample_id"] for row in drawn),
                    summaries=tuple(summarise(row["text"], work.thinking_end) for row in drawn),
                )
        last = [dataclasses.replace(prompt, id=round_id(group, self.rounds)) for group, prompt in prompts.items()]
        return work.ask(last, REFINE)

    def rows(self, name: str, pool: CandidatePool, made: Sequence[Row], thinking_end: str | None) -> Iterator[Row]:
        by_id = {(row["prompt_id"], row["sample_index"]): row for row in made}
        for group, members in self.groups(pool):
            before = sum(
                by_id[round_id(group.id, number), index]["generated_tokens"]
                for number in range(1, self.rounds)
                for index in range(pool.k)
            )
            yield refined_row(
                name, group, members, by_id[round_id(group.id, self.rounds), 0], thinking_end, pool.domain, before
            )


def round_id(group_id: str, number: int) -> str:
    """Return the id of a group in a round, 1..."""
    return f"{group_id}/r{number}"
