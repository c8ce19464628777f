"""A cluster: `ray.data.llm` with replicas of vLLM, one request a sample.

Ray hands batches of samples to whichever replica is free, and draws a batch again on
another where a replica dies: every sample has its own seed, so nothing else is drawn
twice. `ray.data.llm` keeps the first of a request's n completions, so each sample is a
request, and vLLM's prefix cache shares the prompt.

Replicas live as long as one call of `sample`. They get weights and checkpoints as
paths: on several machines these must be on a file system that all of them see.
"""

import json
import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from gsr_dagster.experiment.engines import Ray
from gsr_dagster.experiment.settings import RolloutSettings
from resources.engines.base import EngineError, Request, Sample, lora_room

BATCH = 16
BATCHES_AT_ONCE = 32  # in a replica
# Replicas on one machine must not all be bound to the same cores.
ON_CPU = {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind"}


class RayEngine:
    """A model in vLLM replicas on a Ray cluster, a student as a LoRA request on its base."""

    def __init__(self, weights: Path, adapter: Path | None, settings: Ray, trust_remote_code: bool = False):
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        from ray import cluster_resources, init  # pyright: ignore
        from ray.data import DataContext  # pyright: ignore
        from transformers import AutoTokenizer

        if settings.address is None:  # the replicas' share of the CPUs, and one for what feeds them
            cpus = max(os.cpu_count() or 1, settings.replicas + 1)
            init(address="local", num_cpus=cpus, include_dashboard=False, log_to_driver=False)
        else:
            init(address=settings.address, log_to_driver=False)
        DataContext.get_current().enable_progress_bars = False  # the sample log has its own
        logging.getLogger("ray.data").setLevel(logging.WARNING)
        self.tokenizer: Any = AutoTokenizer.from_pretrained(weights, trust_remote_code=trust_remote_code)
        self.stop_tokens = _stop_tokens(weights) | {self.tokenizer.eos_token_id}
        self.student = {} if adapter is None else {"model": str(adapter)}
        on_gpu = bool(cluster_resources().get("GPU"))
        self.processor = _processor(weights, adapter, settings, trust_remote_code, on_gpu)

    def tokenize(self, text: str) -> list[int]:
        return self.tokenizer(text, add_special_tokens=False)["input_ids"]

    def detokenize(self, tokens: list[int]) -> str:
        return self.tokenizer.decode(tokens, skip_special_tokens=True)

    def close(self) -> None:
        from ray import shutdown  # pyright: ignore

        shutdown()

    def sample(self, requests: Sequence[Request], settings: RolloutSettings) -> Iterator[list[Sample]]:
        from ray.data import from_items  # pyright: ignore

        student = self.student
        sampling = {
            "temperature": settings.temperature,
            "top_p": settings.top_p,
            "max_tokens": settings.max_new_tokens,
        }

        def each_sample(row: dict[str, Any]) -> list[dict[str, Any]]:
            return [
                {
                    "request": row["request"],
                    "sample": number,
                    "tokenized_prompt": row["prompt"],
                    "sampling_params": {**sampling, "seed": int(seed)},
                    **student,
                }
                for number, seed in enumerate(row["seeds"])
            ]

        rows = [
            {"request": number, "prompt": self._prompt(request), "seeds": list(request.seeds)}
            for number, request in enumerate(requests)
        ]
        drawn = self.processor(from_items(rows).flat_map(each_sample, num_cpus=0))
        lost: list[str] = []
        for batch in drawn.iter_batches(batch_size=None, batch_format="pyarrow"):
            finished = batch.to_pylist()
            lost += [row["__inference_error__"] for row in finished if row["__inference_error__"]]
            yield [self._sample(requests, row) for row in finished if not row["__inference_error__"]]
        if lost:
            wanted = sum(len(request.indices) for request in requests)
            raise EngineError(f"{len(lost)} of {wanted} samples could not be had; the first: {lost[0]}")

    def _prompt(self, request: Request) -> list[int]:
        prompt = self.tokenizer.apply_chat_template(request.messages, add_generation_prompt=True, return_dict=True)
        return prompt["input_ids"]

    def _sample(self, requests: Sequence[Request], row: dict[str, Any]) -> Sample:
        request, number = requests[row["request"]], row["sample"]
        tokens = row["generated_tokens"]
        return Sample(
            request_id=request.id,
            index=request.indices[number],
            seed=request.seeds[number],
            text=row["generated_text"],
            finish_reason="stop" if len(tokens) and tokens[-1] in self.stop_tokens else "length",
            prompt_tokens=row["num_input_tokens"],
            generated_tokens=row["num_generated_tokens"],
        )


def _processor(weights: Path, adapter: Path | None, settings: Ray, trust_remote_code: bool, on_gpu: bool) -> Any:
    """Return what takes a Ray dataset of requests to one of samples."""
    from ray.data.llm import build_processor, vLLMEngineProcessorConfig  # pyright: ignore

    arguments: dict[str, Any] = {
        "tensor_parallel_size": settings.tensor_parallel_size,
        "gpu_memory_utilization": settings.gpu_memory_utilization,
        "max_model_len": settings.max_model_len,
        "enable_prefix_caching": True,
        "trust_remote_code": trust_remote_code,
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


def _stop_tokens(weights: Path) -> set[int]:
    """Return the tokens at which vLLM stops for this model: Ray does not hand on why it did."""
    file = weights / "generation_config.json"
    stops = json.loads(file.read_text()).get("eos_token_id") if file.exists() else None
    return set(stops if isinstance(stops, list) else [] if stops is None else [stops])
