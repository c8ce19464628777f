"""The vote of candidates over the classes of their answers.

>>> majority_vote(["7", "7", "9", None], correct="7")
1.0
>>> majority_vote(["7", "9"], correct="7")
0.5
>>> leaders(["9", "7", None, "7", "9", "8"])
['9', '7']
"""

from collections import Counter
from collections.abc import Hashable, Sequence
from typing import TypeVar

Class = TypeVar("Class", bound=Hashable)


def majority_vote(classes: Sequence[Hashable | None], correct: Hashable | None) -> float:
    """Return the probability, 0..1, that a majority vote picks the correct class.

    ``classes`` holds the answer class of each candidate, None where a candidate
    has no answer and so does not vote. Tied classes share the vote evenly: the
    value is the expectation over a uniform draw among them.
    """
    leading = leaders(classes)
    return (correct in leading) / len(leading) if leading and correct is not None else 0.0


def vote_winner(classes: Sequence[Class | None]) -> Class | None:
    """Return the class with the most votes, None where classes tie or none votes."""
    leading = leaders(classes)
    return leading[0] if len(leading) == 1 else None


def leaders(classes: Sequence[Class | None]) -> list[Class]:
    """Return the class with the most votes, or those that tie, in the order in which they come; none where none votes."""
    votes = Counter(c for c in classes if c is not None)
    most = max(votes.values(), default=0)
    return [c for c, count in votes.items() if count == most]
