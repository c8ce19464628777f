"""From a sampled text to an answer, and from answers to a vote.

>>> final_answer("Adding up gives \\\\boxed{\\\\frac{1}{2}}.")
'\\\\frac{1}{2}'
>>> majority_vote(["7", "7", "9", None], correct="7")
1.0
>>> majority_vote(["7", "9"], correct="7")
0.5
"""

import re
from collections import Counter
from collections.abc import Hashable, Sequence

BOXED = "\\boxed{"
ANSWER_PHRASE = re.compile(r"(?:final answer|the answer|answer)\s*(?:is\s*:?|:|=)\s*(.+)", re.IGNORECASE)


def final_answer(summary: str | None) -> str | None:
    r"""Return the answer a summary ends with, or None where there is none.

    The last closed ``\boxed{...}`` counts; without one, what follows the last
    "the answer is" on its line.
    """
    if not summary:
        return None
    boxed = last_boxed(summary)
    if boxed is not None:
        return boxed or None
    phrases = ANSWER_PHRASE.findall(summary)
    return phrases[-1].strip().strip("*").rstrip(".").strip() or None if phrases else None


def last_boxed(text: str) -> str | None:
    r"""Return the content of the last ``\boxed{...}`` whose braces close, or None."""
    start = text.rfind(BOXED)
    while start >= 0:
        depth = 1
        begin = start + len(BOXED)
        for position in range(begin, len(text)):
            depth += {"{": 1, "}": -1}.get(text[position], 0)
            if depth == 0:
                return text[begin:position].strip()
        start = text.rfind(BOXED, 0, start)
    return None


def majority_vote(classes: Sequence[Hashable | None], correct: Hashable | None) -> float:
    """Return the probability, 0..1, that a majority vote picks the correct class.

    ``classes`` holds the answer class of each candidate, None where a candidate
    has no answer and so does not vote. Tied classes share the vote evenly: the
    value is the expectation over a uniform draw among them.
    """
    votes = Counter(c for c in classes if c is not None)
    if not votes or correct is None:
        return 0.0
    most = max(votes.values())
    leaders = [c for c, count in votes.items() if count == most]
    return (correct in leaders) / len(leaders)


def truth_assignment(answer: str) -> frozenset[tuple[str, str]]:
    """Return who is said to be what, of an answer about knights and knaves (or heroes and villains).

    "a knight/knave" says nothing.

    >>> sorted(truth_assignment("Zoey is a knight, and Riley is a knave."))
    [('riley', 'knave'), ('zoey', 'knight')]
    """
    return frozenset(re.findall(r"(\w+) is an? (\w+)\b(?!/)", answer.lower()))
