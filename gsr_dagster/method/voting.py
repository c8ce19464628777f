"""The vote of candidates over the classes of their answers.

>>> majority_vote(["7", "7", "9", None], correct="7")
1.0
>>> majority_vote(["7", "9"], correct="7")
0.5
"""

from collections import Counter
from collections.abc import Hashable, Sequence


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


def vote_winner(classes: Sequence[Hashable | None]) -> Hashable | None:
    """Return the class with the most votes, None where classes tie or none votes."""
    first_two = Counter(c for c in classes if c is not None).most_common(2)
    if not first_two or len({count for _, count in first_two}) < len(first_two):
        return None
    return first_two[0][0]
