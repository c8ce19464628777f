"""Grading: is an answer right, and which answers are equal. The work is done in processes that can be killed."""

import importlib.metadata
import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent import futures
from concurrent.futures.process import BrokenProcessPool
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, Literal

import dagster as dg

from gsr_dagster.method.scoring.scores import GOLD_CLASS
from resources.cores import cores
from resources.grading.judgements import KeptJudgements
from resources.grading.worker import GAVE_UP, JudgedVerdict, Judgement, judge, start_worker
from resources.processes import process_pool, schedule
from resources.progress import Tracker, track

Verdict = Literal[JudgedVerdict, "no answer"]

# Raised with every change that can change a verdict.
RULES = 5
UNIT = "answers graded"
# The libraries whose versions decide verdicts.
DECIDING = ("math-verify", "latex2sympy2_extended", "sympy")


@dataclass(frozen=True)
class Reference:
    """What a problem's answers are held against. Without a gold only with one another."""

    gold: str | None
    domain: str

    @property
    def name(self) -> str:
        """What tells it from others, as text."""
        return json.dumps([self.domain, self.gold])


@dataclass(frozen=True)
class Grade:
    """A verdict, and the class of equal answers of the problem that the answer belongs to.

    Class 0 is the gold's. An answer that timed out, or whose comparison failed, is a class
    of its own text. Without an answer, with one that cannot be read, and without a gold to
    hold it against, there is no class, and no vote.
    """

    verdict: Verdict
    answer_class: int | None

    @property
    def correct(self) -> bool:
        return self.verdict == "correct"


def grader_version(name: str) -> str:
    """Return the grader's name and all that decides its verdicts, for manifests."""
    if name != "math-verify":
        return f"{name}, rules {RULES}"
    versions = " ".join(f"{library} {_version(library)}" for library in DECIDING)
    return f"{versions}, rules {RULES}"


class Grader(dg.ConfigurableResource):
    """Grades answers. A process that is silent for ``seconds`` is killed, and its answers are judged one by one."""

    name: str = "math-verify"
    seconds: float = 20.0

    def grade(
        self,
        label: str,
        references: dict[str, Reference],
        answers: Sequence[tuple[str, str | None]],
        progress: Tracker | None = None,
    ) -> list[Grade]:
        """Return the grades of (problem id, answer) pairs, in their order.

        Each distinct pair of gold and answer is judged once in the life of this process.
        ``progress`` is of a larger work that this is a part of, and counts its answers.
        Raises KeyError for a problem that is not among the references.
        """
        known, kept = _judged[self.name], KeptJudgements(grader_version(self.name))
        wanted: dict[Reference, dict[str, None]] = defaultdict(dict)
        for problem_id, answer in answers:
            # Nothing is asked too: a gold that cannot be read says so.
            wanted[references[problem_id]][answer or ""] = None
        self._take_kept(kept, [q for q, said in wanted.items() if said.keys() - known[q].keys()])
        missing = {q: [answer for answer in said if answer not in known[q]] for q, said in wanted.items()}
        unknown = {q: new for q, new in missing.items() if new}
        with (
            track(label, sum(len(new) for new in unknown.values()), UNIT) if progress is None else nullcontext() as own
        ):
            for reference, judgements in self._judge_all(unknown):
                known[reference] |= judgements
                if own is not None:
                    own.advance(len(judgements))
        if progress is not None:
            progress.advance(len(answers))
        if unknown:
            kept.keep({reference.name: known[reference] for reference in unknown})
            _written[self.name] = kept.written()
        classes: dict[str, dict[str, int]] = defaultdict(dict)
        return [
            _grade_of_none(known[references[problem_id]][""])
            if answer is None
            else _grade(known[references[problem_id]][answer], classes[problem_id])
            for problem_id, answer in answers
        ]

    def _take_kept(self, kept: KeptJudgements, lacking: Sequence[Reference]) -> None:
        """Take what is kept of references in place of what this process knows of them, where another one wrote since.

        So processes that grade side by side find what the others judged, and go on from one and the same entry.
        """
        known, written = _judged[self.name], kept.written()
        by_name = {q.name: q for q in lacking if not known[q] or written != _written.get(self.name)}
        for name, judgements in kept.read(by_name).items():
            ours = known[by_name[name]]
            gave_up = {answer: judged for answer, judged in ours.items() if judged.verdict in GAVE_UP}
            known[by_name[name]] = gave_up | judgements

    def classes(self, domain: str, answers: Sequence[str | None]) -> list[int | None]:
        """Return the class of equal answers of each answer to a problem without a gold, None where it does not vote.

        Nothing is kept of them. An answer without one counts as in ``Grade``.
        """
        said = list(dict.fromkeys(answer for answer in answers if answer is not None))
        judged = dict(next(self._judge_all({Reference(None, domain): said}))[1])
        numbers: dict[str, int] = {}
        return [None if answer is None else _grade(judged[answer], numbers).answer_class for answer in answers]

    def _judge_all(self, unknown: dict[Reference, list[str]]) -> Iterator[tuple[Reference, dict[str, Judgement]]]:
        pending = {reference: self._submit(reference, answers) for reference, answers in unknown.items()}
        for reference, future in pending.items():
            answers = unknown[reference]
            try:
                yield reference, dict(zip(answers, future.result(), strict=True))
            except Exception as error:  # the process was killed, or ran out of memory, or all processes died
                if not (_gave_up(error) or isinstance(error, BrokenProcessPool)):
                    raise
                yield reference, dict(self._one_by_one(reference, answers))

    def _one_by_one(self, reference: Reference, answers: Sequence[str]) -> Iterator[tuple[str, Judgement]]:
        """Judge each answer alone, so that the one that hangs takes no other with it."""
        alone = [(answer, self._submit(reference, [answer])) for answer in answers]
        for answer, future in alone:
            try:
                (judgement,) = future.result()
            except Exception as error:
                if not _gave_up(error):
                    raise
                judgement = Judgement("timed out", answer)
            yield answer, judgement

    def _submit(self, reference: Reference, answers: Sequence[str]) -> Any:
        judged = _judged[self.name][reference].items()
        wrong = [answer for answer, judgement in judged if judgement == Judgement("incorrect", answer)]
        arguments = (self.name, reference.domain, reference.gold, answers, wrong)
        return schedule(_pool, judge, arguments, self.seconds)


# It does not change in a process, and a run asks for it at every grading.
_version = cache(importlib.metadata.version)

# By grader and reference, what each answer was judged to be.
_judged: dict[str, dict[Reference, dict[str, Judgement]]] = defaultdict(lambda: defaultdict(dict))
# By grader, when its kept judgements were written by this process.
_written: dict[str, tuple[int, int] | None] = {}


def _grade_of_none(judgement: Judgement) -> Grade:
    """Return the grade of a missing answer, from the judgement of an empty one."""
    return Grade("gold unparseable" if judgement.verdict == "gold unparseable" else "no answer", None)


def _grade(judgement: Judgement, classes: dict[str, int]) -> Grade:
    """Number the problem's classes in the order in which they come; the gold's is 0."""
    if judgement.verdict == "correct":
        return Grade("correct", GOLD_CLASS)
    if judgement.verdict in ("gold unparseable", "unreadable"):
        return Grade(judgement.verdict, None)
    return Grade(judgement.verdict, classes.setdefault(judgement.same_as, len(classes) + 1))


def _gave_up(error: Exception) -> bool:
    from pebble import ProcessExpired

    return isinstance(error, (futures.TimeoutError, ProcessExpired, MemoryError))


@lru_cache(maxsize=1)
def _pool() -> Any:
    return process_pool(len(cores()), start_worker, preload=["math_verify", "resources.grading.worker"])
