"""Aggregations in which the model picks one of the candidates in place of writing a new answer."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

from gsr_dagster.experiment.aggregations.base import (
    Aggregation,
    ChoicePrompt,
    Contents,
    Fingerprints,
    Work,
    group_prompts,
    group_row,
)
from gsr_dagster.method.candidate_choice import SELECTION_VERSION, chosen_candidate
from gsr_dagster.method.candidate_pool import CandidatePool
from gsr_dagster.method.prompting.prompts import summarise
from gsr_dagster.method.rows import Row
from gsr_dagster.method.scoring.tokens import Tokens


class Chosen(Aggregation, ABC):
    """The candidate that the model picks. A choice that names no single candidate counts as wrong."""

    @property
    @abstractmethod
    def write(self) -> ChoicePrompt:
        """What writes the question."""

    def settings(self, fingerprints: Fingerprints) -> dict[str, Any]:
        return {**fingerprints.self_refinement(), "prompt": f"selection {SELECTION_VERSION}"}

    def make(self, work: Work, pool: CandidatePool) -> Contents:
        return work.choose(group_prompts(self.groups(pool)), self.write)

    def rows(self, name: str, pool: CandidatePool, made: Sequence[Row], thinking_end: str | None) -> Iterator[Row]:
        by_prompt = {row["prompt_id"]: row for row in made}
        for group, members in self.groups(pool):
            sample = by_prompt[group.id]
            index = chosen_candidate(summarise(sample["text"], thinking_end), len(members))
            chosen = None if index is None else members[index]
            yield group_row(
                name,
                group,
                members,
                correct=float(chosen is not None and chosen["correct"]),
                chosen=chosen["candidate_id"] if chosen else None,
                answer=chosen["answer"] if chosen else None,
                drawn=Tokens.of([sample]),
                unread=chosen is None,
            )
