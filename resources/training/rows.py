"""The training rows as tokens in a file that the training reads by memory map: a paper's set has billions of them.

What is read, what is learned, and how much each token counts.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gsr_dagster.method.rows import batches
from resources.training.targets import Target

IGNORED = -100  # a token that is read and not learned
ROWS_AT_ONCE = 512


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


@dataclass
class Fitting:
    """Rows within ``longest`` tokens: how many there were, how many lost their end, and how many had no room at all."""

    longest: int
    rows: int = 0
    cut: int = 0
    dropped: int = 0

    def of(self, rows: Iterable[tuple[str, Target]]) -> Iterator[tuple[str, Target]]:
        """Yield the rows, by kind and tokens, with what fits of each."""
        for kind, target in rows:
            room = self.longest - len(target.prompt)
            if room <= 0:
                self.dropped += 1
                continue
            self.rows += 1
            self.cut += room < len(target.answer)
            yield kind, Target(target.prompt, target.answer[:room])


def write_tokens(path: Path, rows: Iterable[tuple[str, Target]]) -> None:
    """Write rows, by kind and tokens, as the Arrow file that ``dataset`` reads, with few of them in memory."""
    import pyarrow as pa

    schema = pa.schema({"input_ids": pa.list_(pa.int32()), "answer_start": pa.int32(), "kind": pa.string()})
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, schema) as stream:
        for part in batches(rows, ROWS_AT_ONCE):
            columns = {
                "input_ids": [[*target.prompt, *target.answer] for _, target in part],
                "answer_start": [len(target.prompt) for _, target in part],
                "kind": [kind for kind, _ in part],
            }
            stream.write_batch(pa.record_batch(columns, schema))


def read_tokens(path: Path) -> Any:
    """Return the data set of a file of tokens: ``input_ids``, ``answer_start`` (the place of the first learned one), ``kind``."""
    from datasets import Dataset

    return Dataset.from_file(str(path))


def weighted(tokens: Any, refine_weight: float, pack_to: int | None) -> Any:
    """Return a data set of tokens with the weight of each row's learned tokens, ``weight``.

    With ``pack_to`` whole rows stand one after another up to so many tokens, with ``labels`` and
    ``loss_weights`` a token: TRL keeps them apart by their positions, and every token keeps the
    weight of its row.
    """
    import numpy as np
    from trl.data_utils import pack_dataset

    counts: Counter[str] = Counter()
    kinds, starts = (tokens.data.column(name).to_pylist() for name in ("kind", "answer_start"))
    for kind, length, start in zip(kinds, lengths(tokens), starts, strict=True):
        counts[kind] += length - start
    weights = part_weights(counts, refine_weight)
    each = np.array([weights[kind] for kind in kinds], np.float32)
    made = tokens.remove_columns("kind").add_column("weight", each)
    if not pack_to:
        return made
    return pack_dataset(made.map(by_token, remove_columns=["answer_start", "weight"]), pack_to)


def lengths(tokens: Any) -> list[int]:
    """Return how many tokens each row has, without reading them."""
    import pyarrow.compute

    compute: Any = pyarrow.compute
    return compute.list_value_length(tokens.data.column("input_ids")).to_pylist()


def shortest(tokens: Any, number: int) -> list[Target]:
    """Return the shortest rows, of equals the first."""
    of = lengths(tokens)
    rows = (tokens[place] for place in sorted(range(len(of)), key=of.__getitem__)[:number])
    return [Target(row["input_ids"][: row["answer_start"]], row["input_ids"][row["answer_start"] :]) for row in rows]


def by_token(row: dict[str, Any]) -> dict[str, Sequence[Any]]:
    """Return ``labels`` and ``loss_weights`` of a row, one a token."""
    ids, start = row["input_ids"], row["answer_start"]
    return {"labels": [IGNORED] * start + ids[start:], "loss_weights": [row["weight"]] * len(ids)}
