"""The rows that a training set takes of those that could teach, and what they were chosen from."""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from gsr_dagster.experiment.students import Student
from gsr_dagster.method.mixture import refinements_taken
from gsr_dagster.method.row_selection import at_most_a_problem, distinct, is_hard, with_hard_share
from gsr_dagster.method.rows import Row

SHARD_ROWS = 4096


@dataclass(frozen=True)
class TrainingSetCounts:
    """What a training set was chosen from; ``timed_out`` is None in sets that were made before it was counted.

    What a student does not ask for is None too: rows left out since another has their text, since
    their problem has enough, or as of easy groups; and the rows of hard groups.
    """

    teacher_refinements: int
    correct_refinements: int
    over_long_refinements: int
    kept_refinements: int
    kept_from_all_wrong_groups: int
    teacher_solutions: int
    correct_solutions: int
    kept_solutions: int
    refinement_rows: int
    direct_rows: int
    timed_out: int | None = None
    left_out_identical: int | None = None
    left_out_of_a_problem: int | None = None
    left_out_easy: int | None = None
    hard_rows: int | None = None


class Choice:
    """The kept rows that a student asks for, and how many were left out for which reason."""

    def __init__(
        self,
        student: Student,
        seed: int,
        refinements: list[Row],
        direct: list[Row],
        hard: Collection[str] | None,
    ):
        self.hard = hard
        self.refinements, self.direct = refinements, direct
        self.left_out = dict[str, int]()
        if student.identical_rows == "once":
            self._choose("left_out_identical", distinct)
        if most := student.rows_a_problem:
            self._choose("left_out_of_a_problem", partial(at_most_a_problem, most=most, seed=seed))
        if student.hard_share is not None:
            share, size = student.hard_share, refinements_taken(len(self.direct), student.rows, student.most_rows)
            before = sum(not self.is_hard(row) for row in self.refinements)
            self.refinements = with_hard_share(self.refinements, self.is_hard, share, size, seed)
            self.left_out["left_out_easy"] = before - sum(not self.is_hard(row) for row in self.refinements)

    def is_hard(self, row: Row) -> bool:
        """Return whether the group of a refinement is hard."""
        return (row.get("group") or row["teacher_sample_id"].rpartition("/")[0]) in (self.hard or ())

    def _choose(self, reason: str, choose: Callable[[list[Row]], list[Row]]) -> None:
        before = len(self.refinements) + len(self.direct)
        self.refinements, self.direct = choose(self.refinements), choose(self.direct)
        self.left_out[reason] = before - len(self.refinements) - len(self.direct)


class Votes:
    """The votes of graded candidates, by their ids."""

    def __init__(self) -> None:
        self._of = dict[str, tuple[int | None, bool]]()

    def add(self, graded: Iterable[Row]) -> None:
        self._of |= {row["candidate_id"]: (row["answer_class"], row["correct"]) for row in graded}

    def are_wrong(self, candidate_ids: Sequence[str]) -> bool:
        """Return whether the group of these candidates is hard."""
        shown = [self._of[name] for name in candidate_ids]
        right = next((answer for answer, correct in shown if correct), None)
        return is_hard([answer for answer, _ in shown], right)
