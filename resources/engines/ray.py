"""A cluster: `ray.data.llm` with replicas of vLLM, one request a sample.

Ray hands batches of samples to whichever replica is free, and draws a batch again on
another where a replica dies: every sample has its own seed, so nothing else is drawn
twice. `ray.data.llm` keeps the first of a request's n completions, so each sample is a
request, and vLLM's prefix cache shares the prompt.

Replicas live as long as one call of `sample`, twice where thinking has a budget: first all
samples are drawn up to it, then what is not finished goes on, after the end marker where
the thinking had not ended. Replicas get weights and checkpoints as
paths: on several machines these must be on a file system that all of them see.
"""

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gsr_dagster.experiment.engines import Ray
from gsr_dagster.experiment.settings import RolloutSettings
from gsr_dagster.method.rows import Row
from resources.engines.base import EngineError, Request, Sample, lora_room
from resources.engines.chat import Chat, CountsByChat
from resources.engines.vllm import answer_seed, sampling
from resources.models.generation_config import stop_tokens

BATCH = 16
BATCHES_AT_ONCE = 32  # in a replica
# Replicas on one machine must not all be bound to the same cores.
ON_CPU = {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind"}


class RayEngine(CountsByChat):
    """A model in vLLM replicas on a Ray cluster, a student as a LoRA request on its base."""

    def __init__(
        self,
        weights: Path,
        adapter: Path | None,
        settings: Ray,
        trust_remote_code: bool = False,
        thinking_end: str | None = None,
        chat_template_kwargs: Mapping[str, Any] | None = None,
    ):
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        from ray import cluster_resources, init  # pyright: ignore
        from ray.data import DataContext  # pyright: ignore
        from transformers import AutoConfig, AutoTokenizer

        if settings.address is None:  # the replicas' share of the CPUs, and one for what feeds them
            cpus = max(os.cpu_count() or 1, settings.replicas + 1)
            init(address="local", num_cpus=cpus, include_dashboard=False, log_to_driver=False)
        else:
            init(address=settings.address, log_to_driver=False)
        DataContext.get_current().enable_progress_bars = False  # the sample log has its own
        logging.getLogger("ray.data").setLevel(logging.WARNING)
        tokenizer: Any = AutoTokenizer.from_pretrained(weights, trust_remote_code=trust_remote_code)
        self.chat = Chat(tokenizer, chat_template_kwargs, thinking_end, stop_tokens(weights, tokenizer))
        self.notes = self.chat.notes
        config = AutoConfig.from_pretrained(weights, trust_remote_code=trust_remote_code).get_text_config()
        self.context: int | None = settings.max_model_len or getattr(config, "max_position_embeddings", None)
        self.student = {} if adapter is None else {"model": str(adapter)}
        on_gpu = bool(cluster_resources().get("GPU"))
        self.processor = _processor(weights, adapter, settings, trust_remote_code, on_gpu)

    def close(self) -> None:
        from ray import shutdown  # pyright: ignore

        shutdown()

    def sample(self, requests: Sequence[Request], settings: RolloutSettings) -> Iterator[list[Sample]]:
        budget = self.chat.thinking_budget(settings)
        prompts = [self.chat.prompt(request.messages) for request in requests]
        most = settings.max_new_tokens
        rows = [
            _row(n, range(len(request.seeds)), request.seeds, prompts[n], budget or most)
            for n, request in enumerate(requests)
        ]
        lost: list[str] = []
        going_on: dict[tuple[int, int], list[int]] = {}

        def finished(row: Row, tokens: list[int]) -> Sample:
            request, place = requests[row["request"]], row["sample"]
            text, count, ended = self.chat.finished(tokens, settings.stop)
            reason = "stop" if ended else "length"  # Ray does not hand on why vLLM stopped
            read = len(prompts[row["request"]])
            return Sample(request.id, request.indices[place], request.seeds[place], text, reason, read, count)

        for drawn in self._drawn(rows, settings, lost):
            samples = []
            for row in drawn:
                number, tokens = row["request"], row["generated_tokens"]
                if len(tokens) == budget and not self.chat.finished(tokens, settings.stop)[2]:
                    tokens += self.chat.closing(tokens)
                    if self._can_go_on(prompts[number], tokens, settings):
                        going_on[number, row["sample"]] = tokens
                        continue
                samples.append(finished(row, tokens))
            if samples:
                yield samples
        answers = [
            _row(n, [place], [answer_seed(requests[n].seeds[place])], prompts[n] + tokens, most - len(tokens))
            for (n, place), tokens in going_on.items()
        ]
        for drawn in self._drawn(answers, settings, lost) if answers else ():
            yield [finished(row, going_on[row["request"], row["sample"]] + row["generated_tokens"]) for row in drawn]
        if lost:
            wanted = sum(len(request.indices) for request in requests)
            raise EngineError(f"{len(lost)} of {wanted} samples could not be had; the first: {lost[0]}")

    def _can_go_on(self, prompt: list[int], tokens: list[int], settings: RolloutSettings) -> bool:
        """Return whether something can follow the tokens of a sample."""
        room = self.context is None or len(prompt) + len(tokens) < self.context
        return room and not self.chat.stopped(tokens, settings.stop)

    def _drawn(self, rows: list[Row], settings: RolloutSettings, lost: list[str]) -> Iterator[list[Row]]:
        """Yield what Ray drew as it comes. The reason of what it could not draw joins ``lost``."""
        from ray.data import from_items  # pyright: ignore

        student, parameters = self.student, sampling(settings, self.chat, spent=0)

        def each_sample(row: dict[str, Any]) -> list[dict[str, Any]]:
            return [
                {
                    "request": row["request"],
                    "sample": int(place),
                    "tokenized_prompt": row["prompt"],
                    "sampling_params": {**parameters, "max_tokens": int(row["most"]), "seed": int(seed)},
                    **student,
                }
                for place, seed in zip(row["samples"], row["seeds"], strict=True)
            ]

        drawn = self.processor(from_items(rows).flat_map(each_sample, num_cpus=0))
        for batch in drawn.iter_batches(batch_size=None, batch_format="pyarrow"):
            came = batch.to_pylist()
            lost += [row["__inference_error__"] for row in came if row["__inference_error__"]]
            yield [row for row in came if not row["__inference_error__"]]


def _row(request: int, samples: Sequence[int], seeds: Sequence[int], prompt: list[int], most: int) -> Row:
    """Return samples of one prompt, as Ray gets them."""
    return {"request": request, "samples": list(samples), "seeds": list(seeds), "prompt": prompt, "most": most}


def _processor(weights: Path, adapter: Path | None, settings: Ray, trust_remote_code: bool, on_gpu: bool) -> Any:
    """Return what takes a Ray dataset of requests to one of samples."""
    from ray.data.llm import build_processor, vLLMEngineProcessorConfig  # pyright: ignore

    arguments: dict[str, Any] = {
        "tensor_parallel_size": settings.tensor_parallel_size,
        "gpu_memory_utilization": settings.gpu_memory_utilization,
        "max_model_len": settings.max_model_len,
        "enable_prefix_caching": True,
        "trust_remote_code": trust_remote_code,
        "generation_config": "vllm",  # not the folder's
        "disable_log_stats": True,
    }
    if adapter is not None:
        arguments |= {"enable_lora": True, "max_lora_rank": lora_room(adapter)}
    where: dict[str, Any] = {}
    if not on_gpu:
        # A seed a request kills vLLM 0.32 on a CPU where a prompt is prefilled in chunks.
        arguments |= {"enforce_eager": True, "enable_chunked_prefill": False}
        where = {"placement_group_config": {"bundle_per_worker": {"CPU": 1}}, "runtime_env": {"env_vars": ON_CPU}}
    config = vLLMEngineProcessorConfig(
        model_source=str(weights),
        engine_kwargs=arguments,
        concurrency=(settings.replicas, settings.replicas),
        batch_size=BATCH,
        max_concurrent_batches=BATCHES_AT_ONCE,
        chat_template_stage=False,
        tokenize_stage=False,
        detokenize_stage=False,
        log_engine_metrics=False,
        should_continue_on_error=True,
        **where,
    )
    return build_processor(config, preprocess_map_kwargs={"num_cpus": 0}, postprocess_map_kwargs={"num_cpus": 0})
