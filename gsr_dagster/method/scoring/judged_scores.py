"""Scores where a judge decides what the grader cannot, and how far the two agree.

A graded row has ``problem_id``, ``answer``, ``verdict``, ``correct`` and ``answer_class``. An answer without a
verdict of the judge in ``Verdicts`` was not asked about: it counts as one whose verdict is unread.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from gsr_dagster.method.judging import JudgeVerdict
from gsr_dagster.method.rows import Row
from gsr_dagster.method.scoring.gap_summary import Scores
from gsr_dagster.method.scoring.intervals import Interval, bootstrap_mean
from gsr_dagster.method.scoring.scores import GOLD_CLASS

# The judge's verdict on each answer, by problem and text.
Verdicts = Mapping[tuple[str, str], JudgeVerdict]
# Who says which answers are right.
Decider = Literal["grader", "grader, then judge", "judge"]
DECIDERS: tuple[Decider, ...] = get_args(Decider)
DECIDED = ("correct", "incorrect")
UNREADABLE_GOLD = "gold unparseable"


@dataclass(frozen=True)
class Agreement:
    """Grader and judge on the distinct answers that both decide, 1 or more.

    ``share`` is how many they decide alike, with its interval over problems. ``kappa`` is Cohen's (1960,
    equation 1); None where both gave every answer the same one verdict.
    """

    share: Interval
    kappa: float | None
    both_correct: int
    only_grader_correct: int
    only_judge_correct: int
    both_incorrect: int

    @property
    def answers(self) -> int:
        return self.both_correct + self.only_grader_correct + self.only_judge_correct + self.both_incorrect


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


def agreement(rows: Iterable[Row], seed: int) -> Agreement | None:
    """Return how far ``verdict`` and ``judge_verdict`` agree where both decide, None where they never do."""
    both = [row for row in rows if row["verdict"] in DECIDED and row["judge_verdict"] in DECIDED]
    if not both:
        return None
    counts = Counter((row["verdict"], row["judge_verdict"]) for row in both)
    alike = [float(row["verdict"] == row["judge_verdict"]) for row in both]
    share = bootstrap_mean([row["problem_id"] for row in both], alike, seed)
    return Agreement(
        share=share,
        kappa=_kappa(counts),
        both_correct=counts["correct", "correct"],
        only_grader_correct=counts["correct", "incorrect"],
        only_judge_correct=counts["incorrect", "correct"],
        both_incorrect=counts["incorrect", "incorrect"],
    )


def _kappa(counts: Mapping[tuple[str, str], int]) -> float | None:
    """Return (observed - chance) / (1 - chance) of the shares that agree, None where chance agrees always."""
    total, of_grader, of_judge = sum(counts.values()), Counter[str](), Counter[str]()
    for (one, other), count in counts.items():
        of_grader[one] += count
        of_judge[other] += count
    observed = sum(counts.get((verdict, verdict), 0) for verdict in DECIDED) / total
    chance = sum(of_grader[verdict] * of_judge[verdict] for verdict in DECIDED) / total**2
    return None if chance == 1 else (observed - chance) / (1 - chance)


def _scored(rows: Iterable[Row], verdicts: Verdicts) -> list[Row]:
    """Return the rows of the problems whose gold the grader can read, or of which the judge decided an answer."""
    judged = {problem for (problem, _), verdict in verdicts.items() if verdict in DECIDED}
    return [row for row in rows if row["verdict"] != UNREADABLE_GOLD or row["problem_id"] in judged]
