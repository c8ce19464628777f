"""A candidate pool in memory: a subject's graded candidates, and the groups in which they are shown.

>>> rows = [{"candidate_id": f"m/p/{i}", "problem_id": "p", "sample_index": i, "correct": i == 0} for i in range(4)]
>>> pool = CandidatePool.of("m", rows, k=2, seed=0)
>>> [(group.id, [row["candidate_id"] for row in members]) for group, members in pool.groups]
[('m/p/g0', ['m/p/0', 'm/p/1']), ('m/p/g1', ['m/p/3', 'm/p/2'])]
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from gsr_dagster.method.groups import Group, candidate_groups
from gsr_dagster.method.rows import Row

# A group under its full id, SUBJECT/PROBLEM/gNUMBER, with its candidates in the order in which they are shown.
ShownGroup = tuple[Group, list[Row]]


@dataclass(frozen=True)
class CandidatePool:
    """The candidates of a subject by problem, each problem's by sample index, and how they are grouped.

    ``domain`` decides how the answer is read from a text that was written to a group.
    """

    subject: str
    by_problem: Mapping[str, Sequence[Row]]
    k: int
    seed: int
    domain: str = "math"

    @classmethod
    def of(cls, subject: str, candidates: Sequence[Row], k: int, seed: int) -> "CandidatePool":
        """Return the pool of candidates in any order."""
        return cls(subject, by_problem(candidates), k, seed)

    @cached_property
    def groups(self) -> list[ShownGroup]:
        """The pool's own groups, which do not overlap."""
        return [self.shown(group) for group in self.own_groups()]

    def own_groups(self) -> Iterator[Group]:
        """Yield the pool's groups under the ids that seed their order, PROBLEM/gNUMBER.

        A problem with fewer than k candidates has none.
        """
        for problem_id, rows in self.by_problem.items():
            if len(rows) >= self.k:
                yield from candidate_groups(problem_id, len(rows), self.k, self.seed)

    def shown(self, group: Group) -> ShownGroup:
        """Return a group of this pool under its full id, with its candidates."""
        rows = self.by_problem[group.problem_id]
        return replace(group, id=f"{self.subject}/{group.id}"), [rows[index] for index in group.indices]


def in_order(rows: Sequence[Row]) -> list[Row]:
    """Return samples by problem and sample index."""
    return sorted(rows, key=lambda row: (row["problem_id"], row["sample_index"]))


def by_problem(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Return the rows of each problem by sample index."""
    problems: dict[str, list[Row]] = defaultdict(list)
    for row in in_order(rows):
        problems[row["problem_id"]].append(row)
    return problems
