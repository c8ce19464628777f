"""Does the order of the candidates matter?"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal

from gsr_dagster.experiment.aggregations.base import Contents, Pools, Work, group_prompts
from gsr_dagster.experiment.aggregations.refined import Refined, refined_row
from gsr_dagster.method.candidate_pool import CandidatePool, ShownGroup
from gsr_dagster.method.groups import reordered
from gsr_dagster.method.rows import Row
from gsr_dagster.method.scoring.diagnostics import order_changes

# A group refined once more as it was, beside one whose order was changed.
SAME_ORDER = "same_order"


class ShuffledRefinement(Refined):
    """The same groups refined with their candidates in another order, and once more in the same, to tell the two apart."""

    least_k: ClassVar[int] = 2

    kind: Literal["shuffled_refinement"]

    def cost(self, pools: Pools) -> tuple[int, int]:
        return 2 * pools.groups, 2 * pools.groups

    def groups(self, pool: CandidatePool) -> list[ShownGroup]:
        return [pool.shown(reordered(group, pool.seed)) for group in pool.own_groups()]

    def make(self, work: Work, pool: CandidatePool) -> Contents:
        other = group_prompts(self.groups(pool))
        return work.refine([*other, *group_prompts(pool.groups, f"/{SAME_ORDER}")])

    def rows(self, name: str, pool: CandidatePool, made: Sequence[Row], thinking_end: str | None) -> Iterator[Row]:
        by_id = {(row["prompt_id"], row["sample_index"]): row for row in made}
        for group, members in self.groups(pool):
            yield refined_row(name, group, members, by_id[group.id, 0], thinking_end, pool.domain)
            again = by_id[f"{group.id}/{SAME_ORDER}", 0]
            yield refined_row(f"{name}/{SAME_ORDER}", group, members, again, thinking_end, pool.domain)

    def figures(self, name: str, rows: Mapping[str, Sequence[Row]], k: int, seed: int) -> dict[str, Any]:
        """Return ``order``: how often an answer changes when a group is refined again, in another order or the same."""

        def classes(rows: Sequence[Row]) -> dict[str, int | None]:
            return {row["group_id"]: row["answer_class"] for row in rows}

        first, other, same = rows["self_refinement"], rows[name], rows[f"{name}/{SAME_ORDER}"]
        problem_of = {row["group_id"]: row["problem_id"] for row in first}
        return {"order": order_changes(classes(first), classes(other), classes(same), problem_of, seed)}
