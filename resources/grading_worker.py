"""What runs inside a grading process: math-verify, without its own time-outs, under the parent's."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

MOST_MEMORY = 4 << 30
MOST_CHARACTERS = 1000
INTEGER = re.compile(r"[+-]?\d{1,300}")


@dataclass(frozen=True)
class Judgement:
    """The verdict on one answer, and a name that equal answers share."""

    verdict: Literal["correct", "incorrect", "gold unparseable"]
    same_as: str


def start_worker() -> None:
    """Set up a grading process: an allocation over 4 GiB fails here, before the machine runs out."""
    import logging
    import resource

    # It warns that its time-outs are off, which is what the parent's deadline is for.
    logging.getLogger("math_verify").setLevel(logging.ERROR)
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))


def judge_math(gold: str, answers: Sequence[str]) -> list[Judgement]:
    """Judge mathematical answers against a gold, and find those that are equal to each other.

    An answer over 1,000 characters is wrong unread. Equality of two integers is that
    of numbers; of all else, math-verify's, with the gold or the earlier answer first.
    """
    parsed_gold = _parse(gold)
    if not parsed_gold:
        return [Judgement("gold unparseable", answer) for answer in answers]
    judgements, wrong = [], []
    for answer in answers:
        parsed = _parse(answer)
        if parsed and _equal(gold, parsed_gold, answer, parsed):
            judgements.append(Judgement("correct", gold))
            continue
        same = next((a for a, p in wrong if a == answer or (p and parsed and _equal(a, p, answer, parsed))), None)
        if same is None:
            wrong.append((answer, parsed))
        judgements.append(Judgement("incorrect", same if same is not None else answer))
    return judgements


def _parse(answer: str) -> list[Any]:
    from math_verify import parse

    if len(answer) > MOST_CHARACTERS:
        return []
    return parse(f"\\boxed{{{answer}}}", parsing_timeout=None)  # pyright: ignore[reportArgumentType]


def _equal(first: str, parsed_first: list[Any], second: str, parsed_second: list[Any]) -> bool:
    from math_verify import verify

    if INTEGER.fullmatch(first) and INTEGER.fullmatch(second):
        return int(first) == int(second)
    return verify(parsed_first, parsed_second, timeout_seconds=None)
