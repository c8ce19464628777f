"""The hybrid training rows: refinements and direct solutions, one to one."""

import random
from collections.abc import Sequence
from typing import Any

Row = dict[str, Any]


def keep_refinements(correct: Sequence[bool], keep_when_all_correct: int, rng: random.Random) -> list[int]:
    """Return which of a prompt's teacher outputs to keep, as sorted indices.

    The correct ones; where every one is correct the prompt is easy, and
    ``keep_when_all_correct`` of them are drawn (method.md, training data, 3).
    """
    kept = [index for index, is_correct in enumerate(correct) if is_correct]
    if len(kept) == len(correct) > keep_when_all_correct:
        kept = sorted(rng.sample(kept, keep_when_all_correct))
    return kept


def hybrid_rows(refinements: Sequence[Row], direct: Sequence[Row], seed: int) -> list[Row]:
    """Return as many refinement as direct rows, drawn and shuffled by the seed.

    The smaller side counts in full; the larger is drawn down to it. Raises ValueError
    where a side is empty, since a mixture of one part trains another method.
    """
    size = min(len(refinements), len(direct))
    if size == 0:
        raise ValueError(f"no mixture from {len(refinements)} refinements and {len(direct)} direct solutions")
    rng = random.Random(seed)
    rows = rng.sample(list(refinements), size) + rng.sample(list(direct), size)
    rng.shuffle(rows)
    return rows
