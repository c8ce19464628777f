"""Does a student read better, or does it only write candidates that are easier to read?"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from gsr_dagster.experiment.aggregations.base import BASE_REFINEMENT, BASE_VOTE, Fingerprints
from gsr_dagster.experiment.aggregations.refined import Refined
from gsr_dagster.method.rows import Row
from gsr_dagster.method.scoring.aggregation_summary import CrossedReading
from gsr_dagster.method.scoring.intervals import bootstrap_mean


class CrossedRefinement(Refined):
    """A student refines the candidates of its base, held against the base's own refinements of the same groups.

    The other half of the cross, the base refining the student's candidates, is ``synthesis``
    with the base's name.
    """

    paired: ClassVar[bool] = False
    of_base: ClassVar[bool] = True

    kind: Literal["crossed_refinement"]

    def settings(self, fingerprints: Fingerprints) -> dict[str, Any]:
        return {**fingerprints.self_refinement(), "base_pool": fingerprints.base_pool}

    def figures(self, name: str, rows: Mapping[str, Sequence[Row]], k: int, seed: int) -> dict[str, Any]:
        """Return ``crossed``: what the student makes of its base's groups, beside their vote and the base's refinements."""
        correct = {
            reader: {row["group_id"]: row["correct"] for row in rows[reader]}
            for reader in (name, BASE_VOTE, BASE_REFINEMENT)
        }
        answered = [row for row in rows[name] if row["group_id"] in correct[BASE_REFINEMENT]]
        if not answered:
            return {}
        problems = [row["problem_id"] for row in answered]
        student, vote, base = ([of[row["group_id"]] for row in answered] for of in correct.values())

        def minus(other: Sequence[float]) -> Any:
            return bootstrap_mean(problems, [a - b for a, b in zip(student, other, strict=True)], seed)

        scores = (bootstrap_mean(problems, values, seed) for values in (student, vote, base))
        return {"crossed": CrossedReading(len(answered), *scores, minus_vote=minus(vote), minus_base=minus(base))}
