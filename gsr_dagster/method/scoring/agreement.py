"""How far the grader and someone else agree on which answers are right: a judge, or who labelled recorded samples.

>>> rows = [{"problem_id": "p", "correct": True, "recorded_label": 1.0}, {"problem_id": "q", "correct": False, "recorded_label": 0.5}]
>>> labels = compare_labels(rows, seed=0)
>>> labels.agreement.both_correct, labels.not_compared
(1, 1)
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gsr_dagster.method.rows import Row
from gsr_dagster.method.scoring.intervals import Interval, bootstrap_mean

DECIDED = ("correct", "incorrect")
LABEL_OF = {True: 1.0, False: 0.0}


@dataclass(frozen=True)
class Agreement:
    """Grader and judge on the answers that both decide, 1 or more.

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

    @property
    def differ(self) -> int:
        return self.only_grader_correct + self.only_judge_correct


@dataclass(frozen=True)
class ComparedLabels:
    """Labels that came with recorded samples, held against whether the samples count as right here.

    ``agreement`` is of the samples labelled 0 or 1, the judge being who labelled them, and of ``problems`` that
    have one; they differ in ``problems_that_differ`` of these. None where no sample is. ``not_compared`` have
    another number.
    """

    agreement: Agreement | None
    problems: int
    problems_that_differ: int
    not_compared: int


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


def compare_labels(rows: Iterable[Row], seed: int) -> ComparedLabels | None:
    """Return how far ``recorded_label`` and ``correct`` agree, None where no sample has a label.

    A sample counts as it does in every score: without an answer that can be graded it is not right.
    """
    labelled = [row for row in rows if row.get("recorded_label") is not None]
    if not labelled:
        return None
    compared = [row for row in labelled if row["recorded_label"] in LABEL_OF.values()]
    named = [
        {
            "problem_id": row["problem_id"],
            "verdict": DECIDED[not row["correct"]],
            "judge_verdict": DECIDED[not row["recorded_label"]],
        }
        for row in compared
    ]
    return ComparedLabels(
        agreement=agreement(named, seed),
        problems=len({row["problem_id"] for row in compared}),
        problems_that_differ=len({row["problem_id"] for row in differing(compared)}),
        not_compared=len(labelled) - len(compared),
    )


def differing(rows: Iterable[Row]) -> list[Row]:
    """Return the samples labelled right that are not right here, or labelled wrong that are."""
    return [row for row in rows if row.get("recorded_label") == LABEL_OF[not row["correct"]]]


def _kappa(counts: Mapping[tuple[str, str], int]) -> float | None:
    """Return (observed - chance) / (1 - chance) of the shares that agree, None where chance agrees always."""
    total, of_grader, of_judge = sum(counts.values()), Counter[str](), Counter[str]()
    for (one, other), count in counts.items():
        of_grader[one] += count
        of_judge[other] += count
    observed = sum(counts.get((verdict, verdict), 0) for verdict in DECIDED) / total
    chance = sum(of_grader[verdict] * of_judge[verdict] for verdict in DECIDED) / total**2
    return None if chance == 1 else (observed - chance) / (1 - chance)
