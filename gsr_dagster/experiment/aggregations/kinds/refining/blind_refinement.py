"""The control of reading: a refinement prompt that shows no candidate."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from gsr_dagster.experiment.aggregations.base import Contents, GroupPrompt, Work, without_candidates
from gsr_dagster.experiment.aggregations.refined import Refined, refinement_minus
from gsr_dagster.method.candidate_pool import CandidatePool
from gsr_dagster.method.rows import Row


class BlindRefinement(Refined):
    """The prompt of a refinement with "(no answer)" in the place of each candidate.

    A model may solve better in the form of a refinement whatever it is shown. So a gap is made
    by reading only where refinements of the candidates beat this.
    """

    kind: Literal["blind_refinement"]

    def make(self, work: Work, pool: CandidatePool) -> Contents:
        nothing = (None,) * pool.k
        return work.refine([GroupPrompt(group.id, group.problem_id, (), nothing) for group, _ in self.groups(pool)])

    def rows(self, name: str, pool: CandidatePool, made: Sequence[Row], thinking_end: str | None) -> Iterator[Row]:
        yield from map(without_candidates, super().rows(name, pool, made, thinking_end))

    def figures(self, name: str, rows: Mapping[str, Sequence[Row]], k: int, seed: int) -> dict[str, Any]:
        """Return ``refinement_minus_blind``: the refinements' score minus this one's, on the same groups.

        And the same of the groups in which some candidate is right, ``…_some_right``, where reading can
        help, and of the others, ``…_none_right``, where it can only mislead.
        """
        own = {right: [row for row in rows[name] if bool(row["n_correct"]) == right] for right in (True, False)}
        return {
            **refinement_minus(name, rows, seed, "refinement_minus_blind"),
            **refinement_minus(name, {**rows, name: own[True]}, seed, "refinement_minus_blind_some_right"),
            **refinement_minus(name, {**rows, name: own[False]}, seed, "refinement_minus_blind_none_right"),
        }
