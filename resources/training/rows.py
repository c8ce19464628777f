"""The training rows as a data set of tokens: what is read, what is learned, and how much each token counts."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from resources.training.targets import Target

IGNORED = -100  # a token that is read and not learned


def part_weights(target_tokens: dict[str, int], refine_weight: float) -> dict[str, float]:
    """Return the loss weight of a target token of each kind of row.

    With these the mean over all tokens of a training set is λ·L_refine + (1−λ)·L_direct,
    or the loss of the one part that there is.
    ``target_tokens`` counts them by kind, "refinement" and "direct".
    """
    total = sum(target_tokens.values())
    share = {"refinement": refine_weight, "direct": 1 - refine_weight}
    present = sum(share[kind] for kind, count in target_tokens.items() if count)
    return {kind: share[kind] / present * total / count for kind, count in target_tokens.items() if count}


def fitting(kinds: Sequence[str], targets: Sequence[Target], longest: int) -> tuple[list[tuple[str, Target]], int, int]:
    """Return the rows within ``longest`` tokens, how many lost their end for that, and how many had no room at all."""
    rows, cut = [], 0
    for kind, target in zip(kinds, targets, strict=True):
        room = longest - len(target.prompt)
        if room > 0:
            cut += room < len(target.answer)
            rows.append((kind, Target(target.prompt, target.answer[:room])))
    return rows, cut, len(targets) - len(rows)


def dataset(rows: Sequence[tuple[str, Target]], refine_weight: float, pack_to: int | None) -> Any:
    """Return the data set: ``input_ids``, ``labels`` and ``loss_weights``, a list each as long as the row.

    With ``pack_to`` whole rows stand one after another up to so many tokens: TRL keeps them apart
    by their positions, and every token keeps the weight of its row.
    """
    import numpy as np
    import pyarrow as pa
    from datasets import Dataset
    from trl.data_utils import pack_dataset

    counts: Counter[str] = Counter()
    for kind, target in rows:
        counts[kind] += len(target.answer)
    weights = part_weights(counts, refine_weight)
    lengths = np.array([0, *(len(target.prompt) + len(target.answer) for _, target in rows)])
    offsets = pa.array(np.cumsum(lengths), pa.int32())

    def column(parts: list[np.ndarray], kind: Any) -> pa.ListArray:
        return pa.ListArray.from_arrays(offsets, pa.array(np.concatenate(parts), kind))

    ids, labels, each = list[np.ndarray](), list[np.ndarray](), list[np.ndarray]()
    for kind, target in rows:
        ids.append(np.array([*target.prompt, *target.answer], np.int64))
        labels.append(np.array([IGNORED] * len(target.prompt) + target.answer, np.int64))
        each.append(np.full(len(ids[-1]), weights[kind], np.float32))
    table = pa.table(
        {
            "input_ids": column(ids, pa.int64()),
            "labels": column(labels, pa.int64()),
            "loss_weights": column(each, pa.float32()),
        }
    )
    made = Dataset(table)  # pyright: ignore[reportArgumentType]
    return pack_dataset(made, pack_to) if pack_to else made
