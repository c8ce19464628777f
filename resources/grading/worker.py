r"""What runs inside a grading process: answers against a gold, by domain.

A process works in its main thread, so that a clock of its own can stop a comparison;
what no clock can stop, a C call that never returns, the parent ends by killing it.

    judge("math-verify", "math", r"\frac{1}{2}", ["0.5", "1/3", "2/6"])
    [correct, incorrect "1/3", incorrect "1/3"]
"""

import logging
import re
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from gsr_dagster.method.answers import truth_assignment
from gsr_dagster.method.choices import choice_letter
from resources.grading.costly_texts import UnreadableError
from resources.grading.equivalence import Answer, alike, equal

MOST_MEMORY = 4 << 30
# CPU seconds of one answer: other work on the machine does not count.
MOST_SECONDS = 2.0

JudgedVerdict = Literal["correct", "incorrect", "unreadable", "timed out", "comparison failed", "gold unparseable"]
# Verdicts of answers that the grader did not get to the end of.
GAVE_UP: tuple[JudgedVerdict, ...] = ("timed out", "comparison failed")


@dataclass(frozen=True)
class Judgement:
    """The verdict on one answer, and a name that equal answers share."""

    verdict: JudgedVerdict
    same_as: str


class OutOfTimeError(BaseException):
    """A reading or comparison used up its seconds. No `except Exception` on its way holds it back."""


def start_worker() -> None:
    """Set up a grading process: an allocation over 4 GiB fails here, before the machine runs out."""
    import resource

    # It warns that its time-outs are off: the clock below replaces them.
    logging.getLogger("math_verify").setLevel(logging.ERROR)
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))


def judge(
    grader: str, domain: str, gold: str | None, answers: Sequence[str], wrong: Sequence[str] = ()
) -> list[Judgement]:
    """Return the judgements on a problem's answers, in their order. Without a gold none of them is correct.

    ``wrong`` are answers known to be wrong, none equal to another: an answer that equals
    one of them takes its name. Raises KeyError for an unknown domain.
    """
    if domain == "math" and grader == "math-verify":
        return judge_math(gold, answers, wrong)
    return _by_name(gold, answers, NAMES[domain])


def judge_math(gold: str | None, answers: Sequence[str], wrong: Sequence[str] = ()) -> list[Judgement]:
    """Judge mathematical answers by math-verify, with the gold, or the earlier answer, first: it is not symmetric."""
    right = None if gold is None else _gold(gold)
    if gold is not None and right is None:
        return [Judgement("gold unparseable", answer) for answer in answers]
    different = [answer for text in wrong if (answer := _readable(text))]
    return [_judge_answer(right, answer, different) for answer in answers]


def _gold(text: str) -> Answer | None:
    """Return the gold, None where it cannot be read as mathematics."""
    try:
        with seconds(MOST_SECONDS):
            gold = Answer.read(text)
            return gold if gold.is_parsed else None
    except OutOfTimeError:
        return None
    except Exception:  # whatever a library raises: no text ends a run
        return None


def _readable(text: str) -> Answer | None:
    try:
        return Answer.read(text)
    except UnreadableError:
        return None


def _judge_answer(right: Answer | None, text: str, different: list[Answer]) -> Judgement:
    """Judge one answer; one that is wrong, and unlike the wrong ones so far, joins them."""
    try:
        with seconds(MOST_SECONDS):
            answer = Answer.read(text)
            if right is not None and equal(right, answer):
                return Judgement("correct", right.text)
            same = next((other for other in different if alike(other, answer)), None)
    except UnreadableError:
        return Judgement("unreadable", text)
    except OutOfTimeError:
        return Judgement("timed out", text)
    except MemoryError:
        raise  # the process is at its limit: the parent judges one by one
    except Exception:  # no pair of texts ends a run
        return Judgement("comparison failed", text)
    if same is None:
        different.append(answer)
    return Judgement("incorrect", same.text if same else text)


def _by_name(gold: str | None, answers: Sequence[str], name: Callable[[str], str]) -> list[Judgement]:
    """Judge by a name that equal answers share, "" for what cannot be read. Such a gold holds nothing against it."""
    right = None if gold is None else name(gold)
    if right == "":
        return [Judgement("gold unparseable", answer) for answer in answers]
    named = [(answer, name(answer)) for answer in answers]
    return [
        Judgement("correct" if said == right else "incorrect" if said else "unreadable", said or answer)
        for answer, said in named
    ]


# What names the equal answers of a domain: who is what must be said of everyone; a choice is its letter.
NAMES: dict[str, Callable[[str], str]] = {
    "math": lambda text: re.sub(r"\s+", "", text),
    "knights_knaves": lambda text: ", ".join(f"{who} {what}" for who, what in sorted(truth_assignment(text))),
    "multiple_choice": lambda text: choice_letter(text) or "",
}


@contextmanager
def seconds(most: float) -> Iterator[None]:
    """Raise OutOfTimeError in the block once this process has worked so long in it."""

    def stop(_signal: int, _frame: object) -> None:
        raise OutOfTimeError

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, most)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
