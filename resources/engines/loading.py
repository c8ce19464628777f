"""Loading a model once: the engine that was used last stays in the process until another is wanted.

Weights are loaded when they are first sampled: to count tokens, as for a prompt, takes the tokenizer alone.
"""

import gc
import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg

from gsr_dagster.experiment.engines import VLLM, OpenAI, Ray, RecordedSamples, Transformers
from gsr_dagster.experiment.experiment import Model
from resources import gpus
from resources.engines import cpu
from resources.engines.base import Engine
from resources.engines.when_sampled import WhenSampled
from resources.models import weights
from resources.models.generation_config import log_what_is_not_applied
from resources.progress import track

log = logging.getLogger(__name__)

_loaded: dict[tuple[str, str], Engine] = {}


class Engines(dg.ConfigurableResource):
    """Gives the engine of a model, or of a student by its checkpoint."""

    def loader(self, model: Model, checkpoint: Callable[[], Path] | None = None) -> Callable[[], Engine]:
        """Return a function that loads the engine, so that a caller without need of it loads nothing."""
        return lambda: _load(model, checkpoint() if checkpoint else None)

    def release(self) -> None:
        """Let go of the loaded model, before another process needs the memory."""
        _unload()


def _load(model: Model, checkpoint: Path | None) -> Engine:
    key = (model.model_dump_json(), str(checkpoint))
    if key not in _loaded:
        _unload()
        _loaded[key] = _engine(model, checkpoint)
    return _loaded[key]


def _engine(model: Model, checkpoint: Path | None) -> Engine:
    if isinstance(model.engine, RecordedSamples):
        from resources.engines.recorded import RecordedEngine

        return RecordedEngine(model.engine.path)
    if isinstance(model.engine, OpenAI):
        from resources.engines.served.engine import OpenAIEngine

        named = model.engine.tokenizer or model.source
        tokenizer = (named, partial(weights.fetch_tokenizer, named)) if named else None
        return OpenAIEngine(model.engine, tokenizer, model.thinking_end, model.chat_template_kwargs)
    assert model.source is not None, "refused by the experiment file's checks"
    quiet_transformers()
    adapter = checkpoint if checkpoint and (checkpoint / "adapter_config.json").exists() else None
    whole = checkpoint if checkpoint and not adapter else None
    tokenizer_folder = whole or weights.fetch_tokenizer(model.source)
    return WhenSampled(model, tokenizer_folder, lambda: _with_weights(model, whole, adapter))


def _with_weights(model: Model, whole: Path | None, adapter: Path | None) -> Engine:
    """Return the engine of a model, whose weights are its source's or stand in a folder as a whole."""
    trained = whole or adapter
    with track(f"loading {model.source}", 1, "model") as progress:
        log.info("loading %s%s", model.source, f" with the checkpoint in {trained}" if trained else "")
        gpus.hold(model.engine.gpus)
        folder = whole or weights.fetch(str(model.source))
        log_what_is_not_applied(folder)
        engine = _of_kind(model, folder, adapter)
        progress.advance(1)
    return engine


def _of_kind(model: Model, folder: Path, adapter: Path | None) -> Engine:
    of_model: dict[str, Any] = {
        "trust_remote_code": model.trust_remote_code,
        "thinking_end": model.thinking_end,
        "chat_template_kwargs": model.chat_template_kwargs,
    }
    if isinstance(model.engine, VLLM):
        import torch

        if adapter and not torch.cuda.is_available():  # vLLM's live LoRA is five times slower on a CPU
            folder, adapter = weights.merged(folder, adapter), None
        from resources.engines.vllm import VLLMEngine

        return VLLMEngine(folder, adapter, model.engine, **of_model)
    if isinstance(model.engine, Ray):
        from resources.engines.ray import RayEngine

        return RayEngine(folder, adapter, model.engine, **of_model)
    from resources.engines.transformers import TransformersEngine

    assert isinstance(model.engine, Transformers)
    return TransformersEngine(folder, adapter, model.engine.batch_size, **of_model)


def _unload() -> None:
    had_weights = any(isinstance(engine, WhenSampled) for engine in _loaded.values())
    for engine in _loaded.values():
        engine.close()
    _loaded.clear()
    if had_weights:
        gc.collect()
        cpu.return_freed_memory()


def quiet_transformers() -> None:
    """Turn off transformers' bars and advice; errors are raised all the same."""
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
