"""Decoding a batch that grows thinner: rows that have ended leave it, so that long texts do not pay for short ones.

`generate` computes every row up to the end of the longest. Here it is called anew, with the rows that are
left, whenever a third of them has ended.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import torch
    from transformers import DynamicCache, GenerationConfig

LEFT = 2 / 3
FEWEST = 4  # so few rows cost as much as one


class RowState(Protocol):
    """A logits processor that keeps something of each row."""

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor: ...

    def select(self, rows: torch.Tensor) -> None:
        """Keep these rows, in this order."""
        ...


@dataclass
class Batch:
    """The rows that are decoded together: their tokens and mask, (rows, length), and the cache of all but the last token."""

    ids: torch.Tensor
    mask: torch.Tensor
    cache: DynamicCache

    def select(self, rows: torch.Tensor, sequences: torch.Tensor) -> None:
        """Go on with these rows of what was generated."""
        import torch

        new = sequences.shape[1] - self.ids.shape[1]
        self.mask = torch.cat([self.mask[rows], self.mask.new_ones(len(rows), new)], dim=1)
        self.ids = sequences[rows]
        self.cache.batch_select_indices(rows)


class EnoughEnded:
    """A stopping criterion that ends a call of `generate` once a third of its rows has ended."""

    def __init__(self, stop_tokens: torch.Tensor, stops: Sequence[Any], rows: int):
        self.stop_tokens = stop_tokens
        self.stops = stops
        self.rows = rows
        self.ended: Any = False

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor, **_: Any) -> torch.Tensor:
        import torch

        ended = torch.isin(input_ids[:, -1], self.stop_tokens)
        for stop in self.stops:
            ended = ended | stop(input_ids, scores)
        self.ended = ended | self.ended
        enough = self.rows > FEWEST and int((~self.ended).sum()) <= LEFT * self.rows
        return torch.ones_like(ended) if enough else ended


def decode(
    model: Any, batch: Batch, processors: Sequence[RowState], stops: Sequence[Any], config: GenerationConfig
) -> Iterator[tuple[int, list[int]]]:
    """Yield the place of each row in the batch and its new tokens, as rows end; what follows an end is not cut off.

    ``processors`` and ``stops`` are told which rows are left.
    """
    import torch

    places = torch.arange(len(batch.ids), device=batch.ids.device)
    stop_tokens = torch.tensor(config.eos_token_id or [], dtype=torch.long, device=batch.ids.device)
    start, most = batch.ids.shape[1], int(config.max_new_tokens or 0)
    while len(places):
        settings = copy.copy(config)
        settings.max_new_tokens = most - (batch.ids.shape[1] - start)
        sequences = model.generate(
            input_ids=batch.ids,
            attention_mask=batch.mask,
            past_key_values=batch.cache,
            logits_processor=[*processors],
            stopping_criteria=[EnoughEnded(stop_tokens, stops, len(places))],
            generation_config=settings,
        )
        written = sequences[:, start:]
        left = (written.shape[1] < most) & ~torch.isin(written, stop_tokens).any(dim=1)
        for stop in stops:
            left = left & ~torch.tensor(stop.ended(written.shape[1]), device=left.device)
        for row in (~left).nonzero().flatten().tolist():
            yield int(places[row]), written[row].tolist()
        kept = left.nonzero().flatten()
        places = places[kept]
        if len(kept):
            batch.select(kept, sequences)
            for one in (*processors, *stops):
                one.select(kept)
