"""vLLM in this process: one request a prompt with n samples, so that a prompt is prefilled once.

Samples come as they finish. Sample i of a request draws from the request's seed + i.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from gsr_dagster.experiment.engines import VLLM
from gsr_dagster.experiment.settings import RolloutSettings
from resources.engines.base import EngineDiedError, Request, Sample, lora_room


class VLLMEngine:
    """A model in vLLM, a student as a LoRA request on its base."""

    def __init__(self, weights: Path, adapter: Path | None, settings: VLLM, trust_remote_code: bool = False):
        import torch

        on_cpu = not torch.cuda.is_available()
        if on_cpu:
            prepare_cpu()
        from vllm import EngineArgs, LLMEngine  # pyright: ignore
        from vllm.lora.request import LoRARequest  # pyright: ignore

        arguments: dict[str, Any] = {
            "model": str(weights),
            "tensor_parallel_size": settings.tensor_parallel_size,
            "gpu_memory_utilization": settings.gpu_memory_utilization,
            "max_model_len": settings.max_model_len,
            "enable_prefix_caching": True,
            "trust_remote_code": trust_remote_code,
            "disable_log_stats": True,
        }
        if on_cpu:
            # A seed a request kills vLLM 0.32 on a CPU where a prompt is prefilled in chunks.
            arguments |= {"enforce_eager": True, "enable_chunked_prefill": False}
        self.lora = None
        if adapter is not None:
            arguments |= {"enable_lora": True, "max_lora_rank": lora_room(adapter)}
            self.lora = LoRARequest("student", 1, str(adapter))
        self.engine: Any = LLMEngine.from_engine_args(EngineArgs(**arguments))
        self.tokenizer: Any = self.engine.get_tokenizer()

    def tokenize(self, text: str) -> list[int]:
        return self.tokenizer.encode(text, add_special_tokens=False)

    def detokenize(self, tokens: list[int]) -> str:
        return self.tokenizer.decode(tokens, skip_special_tokens=True)

    def close(self) -> None:
        self.engine.engine_core.shutdown()

    def sample(self, requests: Sequence[Request], settings: RolloutSettings) -> Iterator[list[Sample]]:
        from vllm.v1.engine.exceptions import EngineDeadError  # pyright: ignore

        by_id = {}
        for request in requests:
            name = f"{request.id}/{request.indices[0]}"
            by_id[name] = request
            prompt = self.tokenizer.apply_chat_template(request.messages, add_generation_prompt=True, return_dict=True)
            ids = {"prompt_token_ids": prompt["input_ids"]}
            self.engine.add_request(name, ids, self._sampling(request, settings), lora_request=self.lora)
        while self.engine.has_unfinished_requests():
            try:
                finished = [output for output in self.engine.step() if output.finished]
            except EngineDeadError as error:
                raise EngineDiedError(f"vLLM's process ended: {error}") from error
            if finished:
                yield [sample for output in finished for sample in _samples(by_id[output.request_id], output)]

    @staticmethod
    def _sampling(request: Request, settings: RolloutSettings) -> Any:
        from vllm import SamplingParams  # pyright: ignore
        from vllm.sampling_params import RequestOutputKind  # pyright: ignore

        return SamplingParams(
            n=len(request.indices) if settings.temperature else 1,
            seed=request.seeds[0],
            temperature=settings.temperature,
            top_p=settings.top_p,
            max_tokens=settings.max_new_tokens,
            output_kind=RequestOutputKind.FINAL_ONLY,
        )


def prepare_cpu() -> None:
    """Set what vLLM reads from the environment on a CPU, where the user has not: threads, cache, one process."""
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
    os.environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", f"0-{(os.cpu_count() or 1) - 1}")
    os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")


def _samples(request: Request, output: Any) -> Iterator[Sample]:
    """Yield the samples of a finished request. Greedy decoding, which vLLM does once, gives them all the same."""
    prompt_tokens = len(output.prompt_token_ids)
    completions = sorted(output.outputs, key=lambda completion: completion.index)
    for number in range(len(request.indices)):
        completion = completions[number % len(completions)]
        yield Sample(
            request_id=request.id,
            index=request.indices[number],
            seed=request.seeds[0] + number,
            text=completion.text,
            finish_reason="length" if completion.finish_reason == "length" else "stop",
            prompt_tokens=prompt_tokens,
            generated_tokens=len(completion.token_ids),
        )
