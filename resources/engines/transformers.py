"""The embedded engine: transformers on the CPU or on one GPU.

What a batch's prompts begin with is prefilled once, and each distinct prompt once:
their key-value cache is repeated for the samples. Each sample draws from a random
stream of its own, so its seed decides it whatever stands beside it in the batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gsr_dagster.experiment.settings import RolloutSettings
from resources.engines import cpu
from resources.engines.base import Request, Sample
from resources.engines.cache import repeat_with_room
from resources.models.merging import merge_adapter

if TYPE_CHECKING:
    import torch

NUCLEUS_HEAD = 512


class TransformersEngine:
    """A causal language model in this process, with a LoRA adapter merged in where one is given."""

    def __init__(self, weights: Path, adapter: Path | None, batch_size: int, trust_remote_code: bool = False):
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self.batch_size = batch_size
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        attention = "sdpa"
        if self.device == "cpu":
            attention = cpu.register_grouped_sdpa()
            cpu.keep_freed_memory()
        self.tokenizer = AutoTokenizer.from_pretrained(weights, trust_remote_code=trust_remote_code)
        self.tokenizer.padding_side = "left"
        if self.tokenizer.pad_token_id is None:
            self.tokenizer.pad_token = self.tokenizer.eos_token
        model = AutoModelForCausalLM.from_pretrained(
            weights,
            dtype=cpu.native_dtype(),
            attn_implementation=attention,
            use_safetensors=True,
            trust_remote_code=trust_remote_code,
        )
        if adapter is not None:
            from peft import PeftModel

            model: Any = merge_adapter(PeftModel.from_pretrained(model, str(adapter)))
        self.model = model.to(self.device).eval()
        configured = self.model.generation_config.eos_token_id
        stops = configured if isinstance(configured, list) else [configured]
        self.stop_tokens = {token for token in (*stops, self.tokenizer.eos_token_id) if token is not None}

    def close(self) -> None:
        del self.model

    def tokenize(self, text: str) -> list[int]:
        return self.tokenizer(text, add_special_tokens=False)["input_ids"]

    def detokenize(self, tokens: list[int]) -> str:
        return self.tokenizer.decode(tokens, skip_special_tokens=True)

    def sample(self, requests: Sequence[Request], settings: RolloutSettings) -> Iterator[list[Sample]]:
        prompts = {r.id: self._prompt(r) for r in requests}
        longest_first = sorted(requests, key=lambda r: (-len(prompts[r.id]), r.id))
        for batch in self._batches(longest_first):
            yield self._generate(batch, [prompts[r.id] for r in batch], settings)

    def _prompt(self, request: Request) -> list[int]:
        return self.tokenizer.apply_chat_template(request.messages, add_generation_prompt=True, return_dict=True)[
            "input_ids"
        ]

    def _batches(self, requests: Sequence[Request]) -> Iterator[list[Request]]:
        """Yield whole requests up to batch_size samples together; a larger request is split."""
        batch: list[Request] = []
        for request in requests:
            for start in range(0, len(request.indices), self.batch_size):
                part = slice(start, start + self.batch_size)
                piece = Request(request.id, request.messages, request.indices[part], request.seeds[part])
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
            ids, mask, cache = self._prefill(prompts, rows, room=settings.max_new_tokens + 1)
            sequences = self.model.generate(
                input_ids=ids[rows],
                attention_mask=mask[rows],
                past_key_values=cache,
                logits_processor=[NucleusSampler(settings, seeds, ids.shape[1], self.device)],
                max_new_tokens=settings.max_new_tokens,
                do_sample=False,
                temperature=None,
                top_p=None,
                top_k=None,
                pad_token_id=self.tokenizer.pad_token_id,
                eos_token_id=sorted(self.stop_tokens),
            )
        generated = iter(sequences[:, ids.shape[1] :].tolist())
        return [
            self._finished(request, index, seed, len(prompt), next(generated))
            for request, prompt in zip(batch, prompts, strict=True)
            for index, seed in zip(request.indices, request.seeds, strict=True)
        ]

    def _prefill(self, prompts: list[list[int]], rows: list[int], room: int) -> tuple[Any, Any, Any]:
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
        rest = self.tokenizer.pad({"input_ids": [p[len(prefix) :] for p in prompts]}, return_tensors="pt")
        shared = torch.tensor([prefix], dtype=torch.long).expand(len(prompts), -1)
        ids = torch.cat([shared, rest["input_ids"]], dim=1).to(self.device)
        mask = torch.cat([torch.ones_like(shared), rest["attention_mask"]], dim=1).to(self.device)
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
        repeat_with_room(cache, torch.tensor(rows, device=self.device), room)
        return ids, mask, cache

    def _finished(self, request: Request, index: int, seed: int, prompt_tokens: int, tokens: list[int]) -> Sample:
        end = next((i for i, token in enumerate(tokens) if token in self.stop_tokens), None)
        text = self.detokenize(tokens if end is None else tokens[:end])
        count = len(tokens) if end is None else end + 1
        reason = "length" if end is None else "stop"
        return Sample(request.id, index, seed, text, reason, prompt_tokens, count)


class NucleusSampler:
    """A logits processor that samples by temperature and top-p, one uniform number a row and step.

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
        if head < scores.shape[-1] and bool((ranked.sum(-1) < self.top_p).any()):
            ranked, tokens = probabilities.sort(dim=-1, descending=True)
        cumulative = ranked.cumsum(-1)
        # A token belongs to the nucleus where the mass before it is under top_p.
        size = (cumulative - ranked < self.top_p).sum(-1, keepdim=True)
        target = self.uniform[:, step, None] * cumulative.gather(-1, size - 1)
        place = (cumulative <= target).sum(-1, keepdim=True).minimum(size - 1)
        return torch.full_like(scores, float("-inf")).scatter_(-1, tokens.gather(-1, place), 0.0)
