"""Groups of k candidates: those of an evaluation, planned ones, and those of the training data.

>>> [group.indices for group in candidate_groups("p1", n=9, k=4, seed=0)]
[(3, 1, 0, 2), (5, 4, 7, 6)]
>>> choose_for_training([False, True, False, True, False, False], k=4, rng=random.Random(0))
[0, 1, 3, 2]
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from math import comb


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


def reordered(group: Group, seed: int) -> Group:
    """Return the group with its candidates in another order, drawn by the seed from all others.

    Raises ValueError where there is no other order.
    """
    if len(group.indices) < 2:
        raise ValueError(f"group {group.id} of {len(group.indices)} candidate has no other order")
    rng = random.Random(f"{seed}:{group.id}:reordered")
    order = list(group.indices)
    while tuple(order) == group.indices:
        rng.shuffle(order)
    return replace(group, indices=tuple(order))


def planned_groups(pools: Mapping[str, Sequence[bool]], k: int, per_stratum: int, seed: int) -> list[Group]:
    """Return groups with exactly 0..k correct candidates, up to ``per_stratum`` of each number.

    ``pools`` says of each problem's samples which are correct. The problems that can fill
    a stratum take turns, so its groups come from as many problems as possible; no two
    groups of a problem hold the same candidates within a stratum, though they may share
    some. Raising ``per_stratum`` only adds groups.
    """
    groups = []
    for n_correct in range(k + 1):
        turns = sorted(pools)
        random.Random(f"{seed}:{n_correct}").shuffle(turns)
        drawn = [_with_exactly(n_correct, k, problem_id, pools[problem_id], seed) for problem_id in turns]
        groups += islice(_in_turns(drawn), per_stratum)
    return groups


def _with_exactly(n_correct: int, k: int, problem_id: str, correct: Sequence[bool], seed: int) -> Iterator[Group]:
    """Yield every group of a problem with ``n_correct`` of its k candidates correct, in an order that is drawn."""
    right = [index for index, is_correct in enumerate(correct) if is_correct]
    wrong = [index for index, is_correct in enumerate(correct) if not is_correct]
    seen: set[frozenset[int]] = set()
    rng = random.Random(f"{seed}:{problem_id}:{n_correct}")
    for number in range(comb(len(right), n_correct) * comb(len(wrong), k - n_correct)):
        members: list[int] = []
        while not members or frozenset(members) in seen:
            members = rng.sample(right, n_correct) + rng.sample(wrong, k - n_correct)
        seen.add(frozenset(members))
        rng.shuffle(members)
        yield Group(f"{problem_id}/c{n_correct}-{number}", problem_id, tuple(members))


def _in_turns(streams: Sequence[Iterator[Group]]) -> Iterator[Group]:
    """Yield one group of each stream, then the next of each, until all are used up."""
    left = list(streams)
    while left:
        going_on = []
        for stream in left:
            if (group := next(stream, None)) is not None:
                yield group
                going_on.append(stream)
        left = going_on


def choose_for_training(correct: Sequence[bool], k: int, rng: random.Random) -> list[int]:
    """Choose k of a problem's samples for a training prompt, as indices in the order shown.

    Every correct sample first, then wrong ones, then a shuffle (docs/method.md,
    training data, 2). A problem without any correct sample gives an all-wrong group.
    """
    if k > len(correct):
        raise ValueError(f"{len(correct)} samples cannot fill a group of {k}")
    first = sorted(range(len(correct)), key=lambda index: not correct[index])
    chosen = first[:k]
    rng.shuffle(chosen)
    return chosen


def groups_for_training(correct: Sequence[bool], k: int, groups: int, rng: random.Random) -> list[list[int]]:
    """Choose samples for several training prompts of k each, which share none: as for one prompt, then dealt out.

    >>> groups_for_training([False, True, False, True], k=2, groups=2, rng=random.Random(0))
    [[0, 1], [3, 2]]
    """
    chosen = choose_for_training(correct, k * groups, rng)
    return [chosen[number * k : (number + 1) * k] for number in range(groups)]
