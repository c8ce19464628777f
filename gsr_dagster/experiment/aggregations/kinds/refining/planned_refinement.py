"""How well does a refiner do with exactly so many correct candidates?"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from gsr_dagster.experiment.aggregations.base import Fingerprints, Pools
from gsr_dagster.experiment.aggregations.refined import Refined
from gsr_dagster.experiment.settings import Count
from gsr_dagster.method.candidate_pool import CandidatePool, ShownGroup
from gsr_dagster.method.groups import planned_groups
from gsr_dagster.method.rows import Row
from gsr_dagster.method.scoring.aggregation_summary import PlannedStratum
from gsr_dagster.method.scoring.intervals import bootstrap_mean


class PlannedRefinement(Refined):
    """Refinement of groups built to hold exactly 0..k correct candidates, so many groups of each where possible."""

    paired: ClassVar[bool] = False

    kind: Literal["planned_refinement"]
    groups_per_stratum: Count

    def settings(self, fingerprints: Fingerprints) -> dict[str, Any]:
        # The grader decides which candidates a group holds.
        return {**fingerprints.self_refinement(), "grader": fingerprints.grader}

    def wanted(self) -> dict[str, Any]:
        return {"groups_per_stratum": self.groups_per_stratum}

    def cost(self, pools: Pools) -> tuple[int, int]:
        planned = pools.benchmarks * (pools.k + 1) * self.groups_per_stratum
        return planned, planned

    def groups(self, pool: CandidatePool) -> list[ShownGroup]:
        correct = {problem: [row["correct"] for row in rows] for problem, rows in pool.by_problem.items()}
        planned = planned_groups(correct, pool.k, self.groups_per_stratum, pool.seed)
        return [pool.shown(group) for group in planned]

    def figures(self, name: str, rows: Mapping[str, Sequence[Row]], k: int, seed: int) -> dict[str, Any]:
        """Return ``planned``: the score by number of correct candidates, k down to 0, of the strata that were filled."""
        strata = [[row for row in rows[name] if row["n_correct"] == n_correct] for n_correct in range(k, -1, -1)]
        return {"planned": [_stratum(stratum, seed) for stratum in strata if stratum]}


def _stratum(rows: Sequence[Row], seed: int) -> PlannedStratum:
    problems = [row["problem_id"] for row in rows]
    score = bootstrap_mean(problems, [row["correct"] for row in rows], seed)
    return PlannedStratum(rows[0]["n_correct"], len(rows), len(set(problems)), score)
