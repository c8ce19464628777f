"""An engine whose weights are loaded once it is to sample: to count tokens takes its tokenizer alone."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from gsr_dagster.experiment.engines import VLLM
from gsr_dagster.experiment.experiment import Model
from gsr_dagster.experiment.settings import RolloutSettings
from resources.engines.base import Engine, Request, Sample
from resources.engines.chat import Chat, CountsByChat
from resources.models.generation_config import stop_tokens


class WhenSampled(CountsByChat):
    """The engine of a model with weights. ``tokenizer_folder`` holds its tokenizer and its config; ``load`` its engine."""

    def __init__(self, model: Model, tokenizer_folder: Path, load: Callable[[], Engine]):
        self._model = model
        self._folder = tokenizer_folder
        self._load = load
        self._loaded: Engine | None = None

    @cached_property
    def chat(self) -> Chat:
        """How its chats become tokens: by its own tokenizer, where vLLM does not take another one."""
        if isinstance(self._model.engine, VLLM) and (self._folder / "tekken.json").exists():  # mistral-common's
            return getattr(self.engine, "chat")  # noqa: B009
        from transformers import AutoTokenizer

        tokenizer: Any = AutoTokenizer.from_pretrained(self._folder, trust_remote_code=self._model.trust_remote_code)
        model = self._model
        stops = stop_tokens(self._folder, tokenizer)
        return Chat(tokenizer, model.chat_template_kwargs, model.thinking_end, stops)

    @property
    def context(self) -> int | None:
        return self._context

    @cached_property
    def _context(self) -> int | None:
        """The context that the file gives, else the one that the engine reads off the model's config."""
        engine = self._model.engine
        if said := getattr(engine, "max_model_len", None):
            return said
        if isinstance(engine, VLLM):  # it has rules of its own
            from resources.engines.vllm import context_length

            return context_length(self._folder, self._model.trust_remote_code)
        from transformers import AutoConfig

        config = AutoConfig.from_pretrained(self._folder, trust_remote_code=self._model.trust_remote_code)
        return getattr(config.get_text_config(), "max_position_embeddings", None)

    @property
    def notes(self) -> Mapping[str, Any]:
        return self.chat.notes if self._loaded is None else self._loaded.notes

    @property
    def engine(self) -> Engine:
        """The engine with the weights, loaded at the first time."""
        if self._loaded is None:
            self._loaded = self._load()
        return self._loaded

    def sample(self, requests: Sequence[Request], settings: RolloutSettings) -> Iterator[list[Sample]]:
        return self.engine.sample(requests, settings)

    def close(self) -> None:
        if self._loaded is not None:
            self._loaded.close()
