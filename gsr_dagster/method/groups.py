"""Groups of k candidates: those of an evaluation, and those of the training data.

>>> [group.indices for group in candidate_groups("p1", n=9, k=4, seed=0)]
[(3, 1, 0, 2), (5, 4, 7, 6)]
>>> choose_for_training([False, True, False, True, False, False], k=4, rng=random.Random(0))
[0, 1, 3, 2]
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Group:
    """The candidates shown together in one refinement prompt, in the order shown."""

    id: str
    problem_id: str
    indices: tuple[int, ...]


def candidate_groups(problem_id: str, n: int, k: int, seed: int) -> list[Group]:
    """Split samples 0..n-1 of a problem into floor(n / k) groups that do not overlap.

    Group g holds samples g*k .. g*k+k-1, so raising n only adds groups. Inside a
    group the order is a shuffle seeded by the group alone. Raises ValueError unless
    1 <= k <= n.
    """
    if not 1 <= k <= n:
        raise ValueError(f"k must be between 1 and the {n} samples of problem {problem_id}, not {k}")
    groups = []
    for number in range(n // k):
        group_id = f"{problem_id}/g{number}"
        indices = list(range(number * k, (number + 1) * k))
        random.Random(f"{seed}:{group_id}").shuffle(indices)
        groups.append(Group(group_id, problem_id, tuple(indices)))
    return groups


def choose_for_training(correct: Sequence[bool], k: int, rng: random.Random) -> list[int]:
    """Choose k of a problem's samples for a training prompt, as indices in the order shown.

    Every correct sample first, then wrong ones, then a shuffle (method.md, training
    data, 2). A problem without any correct sample gives an all-wrong group.
    """
    if k > len(correct):
        raise ValueError(f"{len(correct)} samples cannot fill a group of {k}")
    first = sorted(range(len(correct)), key=lambda index: not correct[index])
    chosen = first[:k]
    rng.shuffle(chosen)
    return chosen
