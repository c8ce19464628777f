"""Refining a whole population of answers, round by round."""

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from gsr_dagster.experiment.aggregations.base import (
    OWN_VOTE,
    Contents,
    GroupPrompt,
    Pools,
    Work,
    group_row,
    right_class,
    voted_row,
    whole_problems,
)
from gsr_dagster.experiment.aggregations.refined import Refined
from gsr_dagster.method.answers import answer_of
from gsr_dagster.method.candidate_pool import CandidatePool, ShownGroup
from gsr_dagster.method.prompting.prompts import summarise
from gsr_dagster.method.rows import Row
from gsr_dagster.method.scoring.aggregation_summary import PopulationRound, cost_point
from gsr_dagster.method.scoring.intervals import bootstrap_mean
from gsr_dagster.method.scoring.tokens import NO_TOKENS, Tokens
from gsr_dagster.method.voting import majority_vote

# A member of a population: its id and its summary.
Member = tuple[str, str | None]


class RecursiveSelfAggregation(Refined):
    """Each answer of a round is a refinement of k answers of the round before, drawn anew for it (arXiv 2509.26626).

    The first population is the n candidates of a problem, n > k, and every later one has as
    many. Its score is the share of the last population that is right, which is what one answer
    drawn from it gives. It is held against the vote of all n candidates.
    """

    kind: Literal["recursive_self_aggregation"]
    rounds: Annotated[int, Field(ge=1)] = 3

    def wanted(self) -> dict[str, Any]:
        return {"rounds": self.rounds}

    def least_samples(self, k: int) -> int:
        return k + 1

    def cost(self, pools: Pools) -> tuple[int, int]:
        return pools.candidates * self.rounds, pools.candidates * self.rounds

    def groups(self, pool: CandidatePool) -> list[ShownGroup]:
        """Return all candidates of each problem that has more than k."""
        return whole_problems(pool, more_than=pool.k)

    def make(self, work: Work, pool: CandidatePool) -> Contents:
        groups = self.groups(pool)
        populations = {
            group.id: [(row["candidate_id"], row["summary"]) for row in members] for group, members in groups
        }
        contents: Contents = None
        for number in range(1, self.rounds + 1):
            prompts = [
                GroupPrompt(member_id(group.id, number, place), group.problem_id, *zip(*subset, strict=True))
                for group, _ in groups
                for place, subset in enumerate(subsets(populations[group.id], pool.k, group.id, number, pool.seed))
            ]
            contents = work.refine(prompts)
            drawn = work.answers(contents)
            for group, members in groups:
                rows = (drawn[f"{member_id(group.id, number, place)}/0"] for place in range(len(members)))
                populations[group.id] = [(row["sample_id"], summarise(row["text"], work.thinking_end)) for row in rows]
        return contents

    def rows(self, name: str, pool: CandidatePool, made: Sequence[Row], thinking_end: str | None) -> Iterator[Row]:
        """Yield the row of every answer of the last round, under NAME/rNUMBER those of the others, and the vote."""
        samples = {row["prompt_id"]: row for row in made}
        for group, members in self.groups(pool):
            yield voted_row(name + OWN_VOTE, group, members)
            drawn = NO_TOKENS
            population: Sequence[Row] = members
            for number in range(self.rounds + 1):
                if number:
                    population = [samples[member_id(group.id, number, place)] for place in range(len(members))]
                    drawn += Tokens.of(population)
                for row in population:
                    answer = answer_of(summarise(row["text"], thinking_end), pool.domain) if number else row["answer"]
                    made_of = group_row(self._of_round(name, number), group, members, answer=answer, drawn=drawn)
                    yield {**made_of, "samples": len(members) * (number + 1)}

    def figures(self, name: str, rows: Mapping[str, Sequence[Row]], k: int, seed: int) -> dict[str, Any]:
        """Return ``populations``: what each round's population comes to, the candidates first; and ``points`` of its rounds."""
        if not rows.get(name):
            return {}
        of_round = [rows[self._of_round(name, number)] for number in range(self.rounds + 1)]
        return {
            "populations": [_population(number, answers, seed) for number, answers in enumerate(of_round)],
            "points": [cost_point(f"round {n}", answers, seed) for n, answers in enumerate(of_round) if n],
        }

    def _of_round(self, name: str, number: int) -> str:
        return name if number == self.rounds else f"{name}/r{number}"


def member_id(group_id: str, number: int, place: int) -> str:
    """Return the id of the prompt behind an answer of a round, 1..."""
    return f"{group_id}/r{number}/{place}"


def subsets(population: Sequence[Member], k: int, group_id: str, number: int, seed: int) -> Iterator[list[Member]]:
    """Yield k members of a population for each of its places, in the order in which they are shown.

    Each subset is drawn on its own, without drawing a member twice (RSA's eval_loop.py).
    """
    for place in range(len(population)):
        yield random.Random(f"{seed}:{member_id(group_id, number, place)}").sample(population, k)


def _population(number: int, rows: Sequence[Row], seed: int) -> PopulationRound:
    by_problem: dict[str, list[Row]] = {}
    for row in rows:
        by_problem.setdefault(row["problem_id"], []).append(row)
    scores = {"pass_at_1": [], "maj_at_n": [], "pass_at_n": []}
    distinct = []
    for population in by_problem.values():
        classes = [row["answer_class"] for row in population]
        right = right_class(population)
        scores["pass_at_1"].append(float(np.mean([row["correct"] for row in population])))
        scores["maj_at_n"].append(majority_vote(classes, right))
        scores["pass_at_n"].append(float(right is not None))
        distinct.append(len(set(classes) - {None}))
    return PopulationRound(
        round=number,
        problems=len(by_problem),
        **{name: bootstrap_mean(list(by_problem), values, seed) for name, values in scores.items()},
        distinct_answers=float(np.mean(distinct)),
        tokens=float(np.mean([row["tokens"] for row in rows])),
    )
