"""Scores where a judge decides what the grader cannot.

A graded row has ``problem_id``, ``answer``, ``verdict``, ``correct`` and ``answer_class``. An answer without a
verdict of the judge in ``Verdicts`` was not asked about: it counts as one whose verdict is unread.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from gsr_dagster.method.judging import JudgeVerdict
from gsr_dagster.method.rows import Row
from gsr_dagster.method.scoring.agreement import DECIDED, Agreement, agreement
from gsr_dagster.method.scoring.gap_summary import Scores
from gsr_dagster.method.scoring.scores import GOLD_CLASS

# The judge's verdict on each answer, by problem and text.
Verdicts = Mapping[tuple[str, str], JudgeVerdict]
# Who says which answers are right.
Decider = Literal["grader", "grader, then judge", "judge"]
DECIDERS: tuple[Decider, ...] = get_args(Decider)
UNREADABLE_GOLD = "gold unparseable"


@dataclass(frozen=True)
class JudgedSummary:
    """What a judge said of the distinct answers of an evaluation, and the scores by who decides.

    ``only_judge`` counts the answers that the judge decided and the grader did not, ``undecided`` those that
    neither did. ``scores`` has no entry where no problem can be scored.
    """

    judge: str
    answers: int
    unread: int
    only_judge: int
    undecided: int
    agreement: Agreement | None
    scores: dict[Decider, Scores]

    def named(self, decider: Decider) -> str:
        """Return who decides, as tables name it: the judge with its unread verdicts, which count as not correct."""
        unread = self.unread if decider == "judge" else 0
        return f"{decider} ({unread:,} of {self.answers:,} unread)" if unread else decider


def by_grader_then_judge(rows: Iterable[Row], verdicts: Verdicts) -> list[Row]:
    """Return the rows as they count where the judge decides what the grader cannot.

    An answer that the judge calls right joins the gold's class; one that it calls wrong is a class of its
    own text. Where the verdict is unread the row stays as the grader left it.
    """

    def decided(row: Row) -> Row:
        verdict = verdicts.get((row["problem_id"], row["answer"]), "unread")
        if row["answer"] is None or row["verdict"] in DECIDED or verdict == "unread":
            return row
        right = verdict == "correct"
        return {**row, "correct": right, "answer_class": GOLD_CLASS if right else row["answer"]}

    return [decided(row) for row in _scored(rows, verdicts)]


def by_judge(rows: Iterable[Row], verdicts: Verdicts) -> list[Row]:
    """Return the same rows as they count by the judge alone: only wrong answers are classed as the grader did.

    Where the verdict is unread the answer is not correct, and votes with its own text.
    """

    def decided(row: Row) -> Row:
        if row["answer"] is None:
            return row
        right = verdicts.get((row["problem_id"], row["answer"])) == "correct"
        wrong_class = row["answer_class"] if row["verdict"] == "incorrect" else row["answer"]
        return {**row, "correct": right, "answer_class": GOLD_CLASS if right else wrong_class}

    return [decided(row) for row in _scored(rows, verdicts)]


def judged_summary(judge: str, rows: Sequence[Row], scores: Mapping[Decider, Scores], seed: int) -> JudgedSummary:
    """Return what the rows come to: one for each distinct answer, with ``verdict`` and ``judge_verdict``."""
    counts = Counter((row["verdict"] in DECIDED, row["judge_verdict"] in DECIDED) for row in rows)
    return JudgedSummary(
        judge=judge,
        answers=len(rows),
        unread=counts[True, False] + counts[False, False],
        only_judge=counts[False, True],
        undecided=counts[False, False],
        agreement=agreement(rows, seed),
        scores=dict(scores),
    )


def _scored(rows: Iterable[Row], verdicts: Verdicts) -> list[Row]:
    """Return the rows of the problems whose gold the grader can read, or of which the judge decided an answer."""
    judged = {problem for (problem, _), verdict in verdicts.items() if verdict in DECIDED}
    return [row for row in rows if row["verdict"] != UNREADABLE_GOLD or row["problem_id"] in judged]
