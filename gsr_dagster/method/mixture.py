"""The training rows of a student: refinements and direct solutions one to one, or one kind alone."""

import random
from collections.abc import Sequence
from typing import Literal

from gsr_dagster.method.rows import Row

Kind = Literal["hybrid", "direct", "refinement"]


def mixed_rows(
    refinements: Sequence[Row], direct: Sequence[Row], kind: Kind, most_rows: int | None, seed: int
) -> list[Row]:
    """Return the rows to train on, drawn and shuffled by the seed, ``most_rows`` at most.

    "hybrid" holds as many refinements as direct rows: the smaller side counts in full,
    the larger is drawn down to it. Raises ValueError where a side it needs is empty,
    since a mixture of one part trains another method.
    """
    parts = {"hybrid": (refinements, direct), "refinement": (refinements,), "direct": (direct,)}[kind]
    size = min(map(len, parts))
    if most_rows is not None:
        size = min(size, most_rows // len(parts))
    if size == 0:
        raise ValueError(f"no {kind} rows from {len(refinements)} refinements and {len(direct)} direct solutions")
    rng = random.Random(seed)
    rows = [row for part in parts for row in rng.sample(list(part), size)]
    rng.shuffle(rows)
    return rows


def refinements_taken(direct: int, kind: Kind, most_rows: int | None) -> int | None:
    """Return how many refinements a mixture with so many direct rows takes at most, None where all of them."""
    limits = [direct] if kind == "hybrid" else []
    if most_rows is not None:
        limits.append(most_rows // (2 if kind == "hybrid" else 1))
    return min(limits, default=None)


def is_mixed(kinds: Sequence[str], wanted: Kind) -> bool:
    """Return whether rows of these kinds are the mixture that is wanted, and not empty."""
    if wanted == "hybrid":
        return kinds.count("refinement") == kinds.count("direct") == len(kinds) / 2 > 0
    return set(kinds) == {wanted}
