"""What the transformers engine does with the logits of a step, and when it ends a text.

In vLLM's order: the repetition penalty, temperature, min-p, top-k, top-p.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from gsr_dagster.experiment.settings import RolloutSettings
from resources.engines.base import Request
from resources.engines.chat import Chat

if TYPE_CHECKING:
    import torch

NUCLEUS_HEAD = 512


class RepetitionPenalty:
    """A logits processor that makes every token of the prompt and of the text so far less likely.

    transformers' own counts padding as text. Source: Keskar et al. 2019, arXiv 1909.05858.
    """

    def __init__(self, penalty: float, mask: torch.Tensor):
        self.penalty = penalty
        self.mask = mask
        self.seen: Any = None

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        import torch

        last = input_ids[:, -1:]
        if self.seen is None:
            self.seen = torch.zeros_like(scores, dtype=torch.bool)
            last = input_ids.where(self.mask.bool(), last)
        self.seen.scatter_(-1, last, True)
        penalised = torch.where(scores > 0, scores / self.penalty, scores * self.penalty)
        return torch.where(self.seen, penalised, scores)

    def select(self, rows: torch.Tensor) -> None:
        self.seen = self.seen[rows]


class TokenConfidence:
    """A logits processor that keeps minus the mean log-probability of the ``top`` likeliest tokens, and changes nothing.

    ``by_row`` holds it for each token of each row, and may go on behind its end.
    """

    def __init__(self, top: int, rows: int, prompt_length: int):
        self.top = top
        self.prompt_length = prompt_length
        self.by_row: list[list[float]] = [[] for _ in range(rows)]
        self.left = [*range(rows)]

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        import torch

        likeliest = scores.float().topk(min(self.top, scores.shape[-1]), dim=-1).values
        sure = (torch.logsumexp(scores.float(), dim=-1) - likeliest.mean(-1)).tolist()
        step = input_ids.shape[1] - self.prompt_length
        for row, one in zip(self.left, sure, strict=True):
            self.by_row[row][step:] = [one]  # on a GPU `generate` may take a step back
        return scores

    def select(self, rows: torch.Tensor) -> None:
        self.left = [self.left[row] for row in rows.tolist()]


class NucleusSampler:
    """A logits processor that samples by temperature, min-p, top-k and top-p, one uniform number a row and step.

    It leaves the drawn token alone with a finite score, so that greedy decoding takes
    it. Source of the nucleus: Holtzman et al. 2020, arXiv 1904.09751.
    """

    def __init__(self, settings: RolloutSettings, seeds: Sequence[int], prompt_length: int, device: str):
        import torch

        streams = [torch.Generator().manual_seed(seed) for seed in seeds]
        draws = [torch.rand(settings.max_new_tokens, generator=stream) for stream in streams]
        self.uniform = torch.stack(draws).to(device)
        self.temperature = settings.temperature
        self.top_p = settings.top_p
        self.top_k = settings.top_k
        self.min_p = settings.min_p
        self.prompt_length = prompt_length

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        import torch

        step = input_ids.shape[1] - self.prompt_length
        if self.temperature == 0:
            return scores
        probabilities = torch.softmax(scores.float() / self.temperature, dim=-1)
        # Sorting the whole vocabulary costs more than the model where the head holds the nucleus.
        head = min(NUCLEUS_HEAD, scores.shape[-1])
        ranked, tokens = probabilities.topk(head, dim=-1)
        if head < scores.shape[-1] and not self._holds_the_nucleus(ranked):
            ranked, tokens = probabilities.sort(dim=-1, descending=True)
        if filtered := bool(self.top_k or self.min_p):
            ranked = self._without_what_min_p_and_top_k_drop(ranked)
        cumulative = ranked.cumsum(-1)
        top_p = self.top_p * cumulative[:, -1:] if filtered else self.top_p
        # A token belongs to the nucleus where the mass before it is under top_p.
        size = (cumulative - ranked < top_p).sum(-1, keepdim=True)
        target = self.uniform[:, step, None] * cumulative.gather(-1, size - 1)
        place = (cumulative <= target).sum(-1, keepdim=True).minimum(size - 1)
        return torch.full_like(scores, float("-inf")).scatter_(-1, tokens.gather(-1, place), 0.0)

    def select(self, rows: torch.Tensor) -> None:
        self.uniform = self.uniform[rows]

    def _holds_the_nucleus(self, ranked: torch.Tensor) -> bool:
        """Return whether no token outside of these, the likeliest in their order, can be drawn."""
        if self.top_k and self.top_k <= ranked.shape[-1]:
            return True
        if self.min_p:
            return bool((ranked[:, -1] < self.min_p * ranked[:, 0]).all())
        return not self.top_k and not bool((ranked.sum(-1) < self.top_p).any())

    def _without_what_min_p_and_top_k_drop(self, ranked: torch.Tensor) -> torch.Tensor:
        kept = ranked.clone()
        if self.min_p:
            kept[ranked < self.min_p * ranked[:, :1]] = 0
        if self.top_k:
            kept[:, self.top_k :] = 0
        return kept


class ThinkingBudget:
    """A logits processor that ends thinking which has reached the budget: the end marker is all that can follow.

    Source: budget forcing, Muennighoff et al. 2025, arXiv 2501.19393.
    """

    def __init__(self, chat: Chat, budget: int, prompt_length: int):
        self.chat = chat
        self.budget = budget
        self.end = prompt_length + budget
        self.markers: list[list[int]] = []

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        step = input_ids.shape[1] - self.end
        if step == 0:
            self.markers = [self.chat.closing(tokens) for tokens in input_ids[:, -self.budget :].tolist()]
        forced = [(row, marker[step]) for row, marker in enumerate(self.markers) if 0 <= step < len(marker)]
        for row, token in forced:
            scores[row] = float("-inf")
            scores[row, token] = 0.0
        return scores

    def select(self, rows: torch.Tensor) -> None:
        if self.markers:
            self.markers = [self.markers[row] for row in rows.tolist()]


class StopStrings:
    """A stopping criterion: a row ends where its text has one of the strings. ``lengths`` says where, in tokens."""

    def __init__(self, chat: Chat, stop: Sequence[str], rows: int, prompt_length: int):
        self.chat = chat
        self.stop = stop
        self.prompt_length = prompt_length
        self.window = max(len(string.encode()) for string in stop) + 8  # a token has a byte at least
        self.lengths: list[int | None] = [None] * rows
        self.left = [*range(rows)]

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor, **_: Any) -> torch.Tensor:
        import torch

        length = input_ids.shape[1] - self.prompt_length
        for row, tokens in zip(self.left, input_ids[:, -min(length, self.window) :].tolist(), strict=True):
            if self.lengths[row] is None and self.chat.stopped(tokens, self.stop):
                self.lengths[row] = length
        return torch.tensor([self.lengths[row] is not None for row in self.left], device=input_ids.device)

    def ended(self, length: int) -> list[bool]:
        """Return of each row that is left whether it has one of the strings within so many tokens."""
        ends = [self.lengths[row] for row in self.left]
        return [end is not None and end <= length for end in ends]

    def select(self, rows: torch.Tensor) -> None:
        self.left = [self.left[row] for row in rows.tolist()]


class Watched:
    """A stopping criterion: a row ends once nobody waits for it, and what is written is shown to who wants to see it."""

    def __init__(self, chat: Chat, rows: Sequence[Request], stop: Sequence[str], prompt_length: int):
        self.chat = chat
        self.left = [*rows]
        self.stop = stop
        self.prompt_length = prompt_length
        self.given_up = [False] * len(rows)

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor, **_: Any) -> torch.Tensor:
        import torch

        for request, tokens in zip(self.left, input_ids, strict=True):
            if request.watch and request.shows:
                request.watch.show(partial(self._text, tokens))
        self.given_up = [request.is_given_up for request in self.left]
        return torch.tensor(self.given_up, device=input_ids.device)

    def ended(self, length: int) -> list[bool]:
        """Return of each row that is left whether nobody waited for it at the last step."""
        return self.given_up

    def select(self, rows: torch.Tensor) -> None:
        self.left = [self.left[row] for row in rows.tolist()]

    def _text(self, tokens: torch.Tensor) -> str:
        return self.chat.finished(tokens[self.prompt_length :].tolist(), self.stop)[0]
