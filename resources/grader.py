"""Grading: is an answer right, and which answers are equal. math-verify runs in processes that can be killed."""

import atexit
import multiprocessing
import os
from collections import defaultdict
from collections.abc import Sequence
from concurrent import futures
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import dagster as dg

from gsr_dagster.method.answers import truth_assignment
from resources.grading_worker import Judgement, judge_math, start_worker
from resources.progress import track

Verdict = Literal["correct", "incorrect", "no answer", "timed out", "gold unparseable"]

GRADER = "math-verify-1"


@dataclass(frozen=True)
class Question:
    """What a problem's answers are held against."""

    gold: str
    domain: str


@dataclass(frozen=True)
class Grade:
    """A verdict, and the class of equal answers of the problem that the answer belongs to.

    Class 0 is the gold's. An answer that timed out is a class of its own text; without
    an answer there is no class, and no vote.
    """

    verdict: Verdict
    answer_class: int | None

    @property
    def correct(self) -> bool:
        return self.verdict == "correct"


class Grader(dg.ConfigurableResource):
    """Grades answers with ``seconds`` a problem at first, and again a single answer where that was not enough."""

    seconds: float = 8.0

    def grade(
        self, label: str, questions: dict[str, Question], answers: Sequence[tuple[str, str | None]]
    ) -> list[Grade]:
        """Return the grades of (problem id, answer) pairs, in their order.

        Each distinct answer of a problem is judged once. Raises KeyError for a problem
        that is not among the questions.
        """
        distinct: dict[str, list[str]] = defaultdict(list)
        for problem_id, answer in answers:
            if answer is not None and answer not in distinct[problem_id]:
                distinct[problem_id].append(answer)
        judged: dict[tuple[str, str], Grade] = {}
        with track(label, len(distinct), "problems graded") as progress:
            for problem_id, grades in self._judge_all(questions, distinct):
                judged |= {(problem_id, answer): grade for answer, grade in grades.items()}
                progress.advance(1)
        none = Grade("no answer", None)
        return [none if answer is None else judged[problem_id, answer] for problem_id, answer in answers]

    def _judge_all(self, questions: dict[str, Question], distinct: dict[str, list[str]]):
        pending = []
        for problem_id, answers in distinct.items():
            question = questions[problem_id]
            if question.domain == "knights_knaves":
                yield problem_id, _numbered(answers, judge_truth_assignments(question.gold, answers))
            else:
                pending.append((problem_id, question.gold, answers, self._submit(question.gold, answers)))
        for problem_id, gold, answers, future in pending:
            try:
                yield problem_id, _numbered(answers, future.result())
            except Exception as error:  # the worker was killed, or ran out of memory
                if not _gave_up(error):
                    raise
                yield problem_id, self._one_by_one(gold, answers)

    def _one_by_one(self, gold: str, answers: Sequence[str]) -> dict[str, Grade]:
        """Judge each answer alone, so that the one that hangs takes no other with it."""
        alone = [self._submit(gold, [answer]) for answer in answers]
        grades = {}
        for number, (answer, future) in enumerate(zip(answers, alone, strict=True), start=1):
            try:
                (judgement,) = future.result()
                grades[answer] = Grade(judgement.verdict, 0 if judgement.verdict == "correct" else number)
            except Exception as error:
                if not _gave_up(error):
                    raise
                grades[answer] = Grade("timed out", number)
        return grades

    def _submit(self, gold: str, answers: Sequence[str]) -> Any:
        return _pool().schedule(judge_math, args=(gold, list(answers)), timeout=self.seconds)


def judge_truth_assignments(gold: str, answers: Sequence[str]) -> list[Judgement]:
    """Judge knights and knaves: who is what must be said of everyone, and rightly."""
    right = truth_assignment(gold)
    return [
        Judgement("correct" if (said := truth_assignment(answer)) == right else "incorrect", str(sorted(said)))
        for answer in answers
    ]


def _numbered(answers: Sequence[str], judgements: Sequence[Judgement]) -> dict[str, Grade]:
    numbers: dict[str, int] = {}
    grades = {}
    for answer, judgement in zip(answers, judgements, strict=True):
        correct = judgement.verdict == "correct"
        number = 0 if correct else numbers.setdefault(judgement.same_as, len(numbers) + 1)
        grades[answer] = Grade(judgement.verdict, number)
    return grades


def _gave_up(error: Exception) -> bool:
    from pebble import ProcessExpired

    return isinstance(error, (futures.TimeoutError, ProcessExpired, MemoryError))


@lru_cache(maxsize=1)
def _pool() -> Any:
    from pebble import ProcessPool

    pool = ProcessPool(
        max_workers=os.cpu_count() or 1,
        initializer=start_worker,
        context=multiprocessing.get_context("spawn"),
    )
    atexit.register(pool.stop)
    return pool
