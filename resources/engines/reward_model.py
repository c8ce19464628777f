"""A reward model: any sequence classifier of transformers, which gives each candidate a number, higher is better.

    model = RewardModel(folder, batch_size=8)
    model.score([[{"role": "user", "content": "2 + 2?"}, {"role": "assistant", "content": "4"}]])
    [Score(value=1.73, tokens=21)]

Scores are kept as samples are: a shard at a time, and where a run fails or is stopped by
Ctrl-C whatever was scored. The next run goes on with the rest, in the same batches.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gsr_dagster.method.prompting.prompts import Message
from gsr_dagster.method.rows import Row
from resources.engines import cpu
from resources.engines.chat import chat_tokens
from resources.engines.sample_log import SHARD_SAMPLES, Prompt, stored, write_unfinished_shard
from resources.progress import track
from resources.store.artifacts import ArtifactStore
from resources.store.errors import ArtifactError
from resources.store.manifests import Recipe, StoredFile

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class Score:
    """What the model thinks of one chat, and how many tokens it read for it."""

    value: float
    tokens: int


class RewardModel:
    """A sequence classifier with its tokenizer, from a local folder of safetensors."""

    def __init__(self, weights: Path, batch_size: int):
        import torch
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        self.batch_size = batch_size
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.tokenizer = AutoTokenizer.from_pretrained(weights, trust_remote_code=False)
        # At the right, padding comes after all that a causal model reads, and positions count from the text's start.
        self.tokenizer.padding_side = "right"
        if self.tokenizer.pad_token_id is None:
            self.tokenizer.pad_token = self.tokenizer.eos_token
        model = AutoModelForSequenceClassification.from_pretrained(
            weights, dtype=cpu.native_dtype(), use_safetensors=True, trust_remote_code=False
        )
        if model.config.pad_token_id is None:  # by it a causal model finds a text's last token
            model.config.pad_token_id = self.tokenizer.pad_token_id
        keep_head_precise(model)
        self.model = model.to(self.device).eval()

    def score(self, chats: Sequence[list[Message]]) -> list[Score]:
        """Return the scores of chats of a problem and a response, in their order.

        Raises ArtifactError where one is longer than the model can read.
        """
        import torch

        texts = [self._tokens(chat) for chat in chats]
        scores: list[Score | None] = [None] * len(texts)
        longest_first = sorted(range(len(texts)), key=lambda index: -len(texts[index]["input_ids"]))
        for start in range(0, len(texts), self.batch_size):
            batch = longest_first[start : start + self.batch_size]
            padded = self.tokenizer.pad([texts[index] for index in batch], return_tensors="pt").to(self.device)
            with torch.inference_mode():
                values = one_number(self.model(**padded).logits).tolist()
            for index, value in zip(batch, values, strict=True):
                scores[index] = Score(value, len(texts[index]["input_ids"]))
        return [score for score in scores if score is not None]

    def _tokens(self, chat: list[Message]) -> dict[str, list[int]]:
        """Return a chat's tokens: by the chat template, or as a pair of texts for a model without one."""
        if self.tokenizer.chat_template:
            tokens = {"input_ids": chat_tokens(self.tokenizer, chat, add_generation_prompt=False)}
        else:
            tokens = dict(self.tokenizer(*(message["content"] for message in chat)))
        most = getattr(self.model.config, "max_position_embeddings", None)
        if most and len(tokens["input_ids"]) > most:
            raise ArtifactError(
                f"a problem with its candidate has {len(tokens['input_ids'])} tokens, and the reward model "
                f"{self.model.name_or_path} reads {most}: take one with a longer context"
            )
        return tokens


def keep_head_precise(model: PreTrainedModel) -> None:
    """Let what follows the model's body compute in float32: in bfloat16 scores of 8 to 16 are 1/16 apart, and tie."""
    for name, head in model.named_children():
        if name != model.base_model_prefix:
            head.float().register_forward_pre_hook(lambda _, inputs: (inputs[0].float(), *inputs[1:]))


def one_number(logits: torch.Tensor) -> torch.Tensor:
    """Return a score for each row of logits (rows, labels): a single logit, or the log-probability of the last label.

    One logit of several cannot be compared between texts: adding a number to all of a text's logits changes nothing.
    """
    return logits[:, 0] if logits.shape[1] == 1 else logits.log_softmax(-1)[:, -1]


def complete_scores(
    store: ArtifactStore, recipe: Recipe, prompts: Sequence[Prompt], load: Callable[[], RewardModel]
) -> list[StoredFile]:
    """Score the chats of a recipe that have no score yet, and return the shards that hold all scores.

    A row is ``candidate_id`` (the prompt's id), ``prompt_id``, ``sample_index`` (0),
    ``prompt_sha256``, ``score`` and ``scored_tokens``. The model is loaded only where a score is missing.
    """
    shards, there = stored(store, recipe, {prompt.id: prompt for prompt in prompts})
    missing = [prompt for prompt in prompts if (prompt.id, 0) not in there]
    if not missing:
        return shards
    # One order for all runs: what is left after whole batches of it falls into the same batches again.
    missing.sort(key=lambda prompt: (-sum(len(message["content"]) for message in prompt.messages), prompt.id))
    model = load()
    with track(str(recipe.key), len(missing), "candidates scored") as progress:
        buffer: list[Row] = []
        try:
            for start in range(0, len(missing), model.batch_size):
                batch = missing[start : start + model.batch_size]
                buffer += map(_row, batch, model.score([prompt.messages for prompt in batch]))
                progress.advance(len(batch))
                if len(buffer) >= SHARD_SAMPLES:
                    shards.append(store.put_shard(recipe, buffer))
                    buffer = []
        except BaseException:  # a text that is too long, or Ctrl-C: what was scored is kept
            write_unfinished_shard(store, recipe, buffer, "scores")
            raise
    if buffer:
        shards.append(store.put_shard(recipe, buffer))
    return shards


def _row(prompt: Prompt, score: Score) -> Row:
    return {
        "candidate_id": prompt.id,
        "prompt_id": prompt.id,
        "sample_index": 0,
        "prompt_sha256": prompt.sha256,
        "score": score.value,
        "scored_tokens": score.tokens,
    }
