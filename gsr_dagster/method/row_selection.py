"""Which of the kept rows a training set takes: each once, so many a problem, a share of them of hard groups.

A group is hard where the vote over its candidates is wrong. The paper keeps all groups;
AggLM (arXiv 2509.06870) chooses the share of easy ones.

>>> [row["row_id"] for row in distinct([{"row_id": 1, "alike": "a"}, {"row_id": 2, "alike": "a"}])]
[1]
"""

import random
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from math import ceil, floor

from gsr_dagster.method.rows import Row
from gsr_dagster.method.voting import majority_vote

ALMOST = 1e-9  # what is lost in computing a share


def is_hard(classes: Sequence[Hashable | None], correct: Hashable | None) -> bool:
    """Return whether the vote over answer classes is wrong: right in fewer than half of the draws among tied classes."""
    return majority_vote(classes, correct) < 0.5


def distinct(rows: Sequence[Row]) -> list[Row]:
    """Return the rows without those whose prompt and text an earlier row has: rows that are ``alike``."""
    first: dict[Hashable, Row] = {}
    for row in rows:
        first.setdefault(row["alike"], row)
    return list(first.values())


def at_most_a_problem(rows: Sequence[Row], most: int, seed: int) -> list[Row]:
    """Return the rows, at most ``most`` of each problem: where there are more, the seed draws which."""
    places: dict[str, list[int]] = defaultdict(list)
    for place, row in enumerate(rows):
        places[row["problem_id"]].append(place)
    kept = set[int]()
    for problem_id, of_problem in places.items():
        kept |= set(random.Random(f"{seed}:{problem_id}:rows").sample(of_problem, min(most, len(of_problem))))
    return [row for place, row in enumerate(rows) if place in kept]


def with_hard_share(
    rows: Sequence[Row], hard: Callable[[Row], bool], share: float, most: int | None, seed: int
) -> list[Row]:
    """Return the rows with at least a ``share`` of hard ones: easy ones are left out, drawn by the seed.

    At most ``most`` rows, with the same share among them. All rows stay where the share is reached
    by them. Raises ValueError where a share is wanted and no row is hard.
    """
    places = {True: [], False: []}
    for place, row in enumerate(rows):
        places[hard(row)].append(place)
    difficult, easy = places[True], places[False]
    if share > 0 and rows and not difficult:
        raise ValueError(
            f"none of the {len(rows)} right refinements is of a group whose vote is wrong, and hard_share: {share:g} wants "
            "some: take harder training problems, more groups or refinements, or leave hard_share out"
        )
    allowed = len(easy) if share == 0 else floor(min(len(easy), len(difficult) * (1 - share) / share + ALMOST))
    total = len(difficult) + allowed
    taken = total if most is None else min(most, total)
    of_hard = ceil(taken * len(difficult) / total - ALMOST) if total else 0
    rng = random.Random(f"{seed}:hard")
    kept = {*rng.sample(difficult, of_hard), *rng.sample(easy, taken - of_hard)}
    return [row for place, row in enumerate(rows) if place in kept]
