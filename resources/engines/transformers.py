"""The embedded engine: transformers on the CPU or on one GPU.

What a batch's prompts begin with is prefilled once, and each distinct prompt once:
their key-value cache is repeated for the samples. Each sample draws from a random
stream of its own, so its seed decides it whatever stands beside it in the batch. Rows that
have ended leave the batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gsr_dagster.experiment.settings import RolloutSettings
from resources.engines import cpu
from resources.engines.base import Request, Sample
from resources.engines.cache import reads_shared, repeat_with_room
from resources.engines.chat import Chat, CountsByChat
from resources.engines.decoding import (
    NucleusSampler,
    RepetitionPenalty,
    StopStrings,
    ThinkingBudget,
    TokenConfidence,
    Watched,
)
from resources.engines.thinning import Batch, decode
from resources.models.generation_config import stop_tokens
from resources.models.merging import merge_adapter

if TYPE_CHECKING:
    import torch
    from transformers import GenerationConfig


class TokenSampler:
    """Draws texts, as tokens, from a causal language model that is in memory: for the engine, and for rollouts in training.

    The model's own generation_config must be empty but for its stop tokens: `generate` would merge with it.
    """

    def __init__(self, model: Any, chat: Chat):
        self.model = model
        self.chat = chat

    @cached_property
    def shares(self) -> bool:
        """Whether what all prompts begin with stands once in the cache: on a CPU, where the model reads it there."""
        return self.model.device.type == "cpu" and reads_shared(self.model)

    def draw(
        self,
        prompts: Sequence[list[int]],
        rows: Sequence[int],
        seeds: Sequence[int],
        settings: RolloutSettings,
        waited: Sequence[Request] = (),
    ) -> list[tuple[list[int], list[float] | None]]:
        """Return of each row the tokens that were generated, and how sure the model was of each where settings ask.

        A row is a text: the place of its prompt, and its seed. What follows a stop token is
        not cut off. ``waited`` are the requests of the rows, where somebody may wait for them.
        """
        import torch

        places = torch.tensor(rows, device=self.model.device)
        ids, mask, cache = self._prefill(prompts, places, room=settings.max_new_tokens + 1)
        length = ids.shape[1]
        processors: list[Any] = [NucleusSampler(settings, seeds, length, self.model.device)]
        if settings.repetition_penalty:
            processors.insert(0, RepetitionPenalty(settings.repetition_penalty, mask[places]))
        confidence = [TokenConfidence(settings.logprobs, len(rows), length)] if settings.logprobs else []
        if budget := self.chat.thinking_budget(settings):
            processors.append(ThinkingBudget(self.chat, budget, length))
        stops = [StopStrings(self.chat, settings.stop, len(rows), length)] if settings.stop else []
        watched = [Watched(self.chat, waited, settings.stop, length)] if any(r.watch for r in waited) else []
        decoded = dict(
            decode(
                self.model,
                Batch(ids[places], mask[places], cache),
                [*confidence, *processors],  # confidence sees the model's own logits
                [*stops, *watched],
                self._decoding(settings.max_new_tokens),
            )
        )
        lengths = stops[0].lengths if stops else [None] * len(rows)
        sure = confidence[0].by_row if confidence else [None] * len(rows)
        return [(decoded[row][: lengths[row]], sure[row]) for row in range(len(rows))]

    def _decoding(self, most: int) -> GenerationConfig:
        """Return the settings of `generate`: it takes the token that the processors left, up to a stop token."""
        from transformers import GenerationConfig

        return GenerationConfig(
            max_new_tokens=most,
            do_sample=False,
            pad_token_id=self.chat.tokenizer.pad_token_id,
            eos_token_id=sorted(self.chat.stop_tokens) or None,
        )

    def _prefill(self, prompts: Sequence[list[int]], rows: torch.Tensor, room: int) -> tuple[Any, Any, Any]:
        """Return ids and mask, (prompts, length), and the cache of all but their last token, one row a sample.

        What all prompts begin with is computed once. It stands at the left, and the
        padding between it and the rest of each prompt: the mask hides it, and positions
        are counted by the mask.
        """
        import torch
        from transformers import DynamicCache

        # The rest keeps two tokens, one to prefill and one to decode from.
        heads = [prompt[:-2] for prompt in prompts]
        first_and_last = zip(min(heads), max(heads), strict=False)
        prefix = [token for token, other in takewhile(lambda pair: pair[0] == pair[1], first_and_last)]
        rest = self.chat.tokenizer.pad({"input_ids": [p[len(prefix) :] for p in prompts]}, return_tensors="pt")
        shared = torch.tensor([prefix], dtype=torch.long).expand(len(prompts), -1)
        ids = torch.cat([shared, rest["input_ids"]], dim=1).to(self.model.device)
        mask = torch.cat([torch.ones_like(shared), rest["attention_mask"]], dim=1).to(self.model.device)
        positions = (mask.cumsum(-1) - 1).clamp(min=0)
        cache = DynamicCache(config=self.model.config)
        if prefix:
            self.model(input_ids=ids[:1, : len(prefix)], past_key_values=cache, use_cache=True, logits_to_keep=1)
            cache.batch_repeat_interleave(len(prompts))
        self.model(
            input_ids=ids[:, len(prefix) : -1],
            attention_mask=mask[:, :-1],
            position_ids=positions[:, len(prefix) : -1],
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        shared = len(prefix) if self.shares else 0
        repeat_with_room(cache, rows, room, shared)
        return ids, mask, cache


class TransformersEngine(TokenSampler, CountsByChat):
    """A causal language model in this process, with a LoRA adapter merged in where one is given."""

    def __init__(
        self,
        weights: Path,
        adapter: Path | None,
        batch_size: int,
        trust_remote_code: bool = False,
        thinking_end: str | None = None,
        chat_template_kwargs: Mapping[str, Any] | None = None,
    ):
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

        self.batch_size = batch_size
        device = "cuda" if torch.cuda.is_available() else "cpu"
        if device == "cpu":
            cpu.keep_freed_memory()
        self.tokenizer = AutoTokenizer.from_pretrained(weights, trust_remote_code=trust_remote_code)
        self.tokenizer.padding_side = "left"
        if self.tokenizer.pad_token_id is None:
            self.tokenizer.pad_token = self.tokenizer.eos_token
        model = AutoModelForCausalLM.from_pretrained(
            weights,
            dtype=cpu.native_dtype(),
            attn_implementation=cpu.attention_to_decode_with(),
            use_safetensors=True,
            trust_remote_code=trust_remote_code,
            generation_config=GenerationConfig(),  # in place of the folder's, which `generate` would merge with ours
        )
        if adapter is not None:
            from peft import PeftModel

            model: Any = merge_adapter(PeftModel.from_pretrained(model, str(adapter)))
        self.context: int | None = getattr(model.config.get_text_config(), "max_position_embeddings", None)
        chat = Chat(self.tokenizer, chat_template_kwargs, thinking_end, stop_tokens(weights, self.tokenizer))
        self.notes = chat.notes
        super().__init__(model.to(device).eval(), chat)

    def close(self) -> None:
        del self.model

    def sample(self, requests: Sequence[Request], settings: RolloutSettings) -> Iterator[list[Sample]]:
        self.chat.thinking_budget(settings)  # is refused before anything is drawn
        prompts = {r.id: self.chat.prompt(r.messages) for r in requests}
        longest_first = sorted(requests, key=lambda r: (-len(prompts[r.id]), r.id))
        for batch in self._batches(longest_first):
            yield self._generate(batch, [prompts[r.id] for r in batch], settings)

    def _batches(self, requests: Sequence[Request]) -> Iterator[list[Request]]:
        """Yield whole requests up to batch_size samples together; a larger request is split."""
        batch: list[Request] = []
        for request in requests:
            for start in range(0, len(request.indices), self.batch_size):
                part = slice(start, start + self.batch_size)
                piece = replace(request, indices=request.indices[part], seeds=request.seeds[part])
                if batch and sum(len(r.indices) for r in [*batch, piece]) > self.batch_size:
                    yield batch
                    batch = []
                batch.append(piece)
        if batch:
            yield batch

    def _generate(self, batch: list[Request], prompts: list[list[int]], settings: RolloutSettings) -> list[Sample]:
        import torch

        rows = [row for row, request in enumerate(batch) for _ in request.indices]
        seeds = [seed for request in batch for seed in request.seeds]
        with torch.inference_mode():
            written = iter(self.draw(prompts, rows, seeds, settings, [batch[row] for row in rows]))
        return [
            self._finished(request, index, seed, len(prompt), *next(written), settings.stop)
            for request, prompt in zip(batch, prompts, strict=True)
            for index, seed in zip(request.indices, request.seeds, strict=True)
        ]

    def _finished(
        self,
        request: Request,
        index: int,
        seed: int,
        prompt_tokens: int,
        tokens: list[int],
        confidences: Sequence[float] | None,
        stop: Sequence[str],
    ) -> Sample:
        text, count, ended = self.chat.finished(tokens, stop)
        reason = "stop" if ended else "length"
        sure = None if confidences is None else tuple(confidences[:count])
        return Sample(request.id, index, seed, text, reason, prompt_tokens, count, sure)
