"""vLLM in this process: one request a prompt with n samples, so that a prompt is prefilled once.

Samples come as they finish. Sample i of a request draws from the request's seed + i.
Where thinking has a budget, each sample is a request: one that thinks for longer is
stopped, and a second request answers after the thinking and its end marker.
"""

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from gsr_dagster.experiment.engines import VLLM
from gsr_dagster.experiment.settings import RolloutSettings
from gsr_dagster.method.policies.confidence import token_confidence
from resources.cores import cores
from resources.engines.base import EngineDiedError, Request, Sample, lora_room, sample_seed
from resources.engines.chat import Chat, CountsByChat
from resources.models.generation_config import stop_tokens


@dataclass
class Pending:
    """A request that vLLM has not answered yet: samples of a prompt, which go on after the tokens in ``before``."""

    request: Request
    prompt: list[int]
    before: list[int] = field(default_factory=list)
    budget: int | None = None  # of a single sample's thinking
    shows: bool = False  # a single sample, to who wants to see it while it is written
    came: list[int] = field(default_factory=list)

    @property
    def one_by_one(self) -> bool:
        """Whether its tokens come one by one."""
        return bool(self.budget) or self.shows


class VLLMEngine(CountsByChat):
    """A model in vLLM, a student as a LoRA request on its base."""

    def __init__(
        self,
        weights: Path,
        adapter: Path | None,
        settings: VLLM,
        trust_remote_code: bool = False,
        thinking_end: str | None = None,
        chat_template_kwargs: Mapping[str, Any] | None = None,
    ):
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
            "generation_config": "vllm",  # not the folder's
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
        self.context: int | None = self.engine.model_config.max_model_len
        tokenizer: Any = self.engine.get_tokenizer()
        self.chat = Chat(tokenizer, chat_template_kwargs, thinking_end, stop_tokens(weights, tokenizer))
        self.notes = self.chat.notes

    def close(self) -> None:
        self.engine.engine_core.shutdown()

    def sample(self, requests: Sequence[Request], settings: RolloutSettings) -> Iterator[list[Sample]]:
        from vllm.v1.engine.exceptions import EngineDeadError  # pyright: ignore

        budget = self.chat.thinking_budget(settings)
        asked: dict[str, Pending] = {}
        for request in requests:
            prompt = self.chat.prompt(request.messages)
            for part in _one_by_one(request) if budget and settings.temperature else [request]:
                self._ask(asked, Pending(part, prompt, budget=budget, shows=_shows(part, settings)), settings)
        while self.engine.has_unfinished_requests():
            try:
                outputs = self.engine.step()
            except EngineDeadError as error:
                raise EngineDiedError(f"vLLM's process ended: {error}") from error
            finished = [s for output in outputs for s in self._received(asked, output, settings)]
            if finished:
                yield finished
            if given_up := [name for name, one in asked.items() if one.request.is_given_up]:
                self.engine.abort_request(given_up)
                for name in given_up:
                    del asked[name]

    def _ask(self, asked: dict[str, Pending], one: Pending, settings: RolloutSettings) -> None:
        from vllm import SamplingParams  # pyright: ignore
        from vllm.sampling_params import RequestOutputKind  # pyright: ignore

        request = one.request
        name = f"{request.id}/{request.indices[0]}/{len(one.before)}"
        asked[name] = one
        parameters = SamplingParams(
            n=len(request.indices) if settings.temperature else 1,
            seed=answer_seed(request.seeds[0]) if one.before else request.seeds[0],
            output_kind=RequestOutputKind.DELTA if one.one_by_one else RequestOutputKind.FINAL_ONLY,
            logprobs=settings.logprobs,
            **sampling(settings, self.chat, spent=len(one.before)),
        )
        prompt = {"prompt_token_ids": one.prompt + one.before}
        self.engine.add_request(name, prompt, parameters, lora_request=self.lora)

    def _received(self, asked: dict[str, Pending], output: Any, settings: RolloutSettings) -> Iterator[Sample]:
        """Yield the samples of an output that is finished. Where thinking is over its budget, ask for the answer."""
        one = asked.get(output.request_id)
        if one is None:  # stopped at its budget, or given up
            return
        completions = sorted(output.outputs, key=lambda completion: completion.index)
        drawn = [one.before + list(completion.token_ids) for completion in completions]
        before = len(one.came)
        if one.one_by_one:
            one.came += completions[0].token_ids
            drawn = [one.before + one.came]
        if one.budget:
            last = one.budget if output.finished else one.budget - 1  # a text may end at its budget by itself
            if before <= last < len(one.came) and (marker := self.chat.closing(one.came[: one.budget])):
                del asked[output.request_id]
                if not output.finished:
                    self.engine.abort_request([output.request_id])
                yield from self._answer(asked, one, one.came[: one.budget] + marker, settings)
                return
        if one.shows and one.request.watch:
            one.request.watch.show(lambda: self.chat.finished(drawn[0], settings.stop)[0])
        if output.finished:
            del asked[output.request_id]
            for number in range(len(one.request.indices)):
                place = number % len(drawn)  # of greedy decoding, which is done once, all get the same
                completion = completions[place]
                sure = _confidences(completion.logprobs, settings.logprobs)
                yield self._sample(one, number, drawn[place], completion.finish_reason, settings, sure)

    def _answer(
        self, asked: dict[str, Pending], one: Pending, thinking: list[int], settings: RolloutSettings
    ) -> Iterator[Sample]:
        """Ask for what follows thinking that was ended, or yield the sample where nothing can."""
        stopped = self.chat.stopped(thinking, settings.stop)
        if not stopped and len(one.prompt) + len(thinking) < (self.context or sys.maxsize):
            self._ask(asked, Pending(one.request, one.prompt, thinking, shows=one.shows), settings)
            return
        for number in range(len(one.request.indices)):
            yield self._sample(one, number, thinking, "length", settings)

    def _sample(
        self,
        one: Pending,
        number: int,
        tokens: list[int],
        reason: str,
        settings: RolloutSettings,
        confidences: list[float] | None = None,
    ) -> Sample:
        text, count, ended = self.chat.finished(tokens, settings.stop)
        return Sample(
            request_id=one.request.id,
            index=one.request.indices[number],
            seed=one.request.seeds[0] + number,
            text=text,
            finish_reason="stop" if ended else reason,
            prompt_tokens=len(one.prompt),
            generated_tokens=count,
            confidences=None if confidences is None else tuple(confidences[:count]),
        )


def context_length(folder: Path, trust_remote_code: bool) -> int:
    """Return how many tokens of prompt and text vLLM gives a model, by its config alone: no weights are loaded."""
    from vllm import EngineArgs  # pyright: ignore

    return EngineArgs(model=str(folder), trust_remote_code=trust_remote_code).create_model_config().max_model_len


def sampling(settings: RolloutSettings, chat: Chat, spent: int) -> dict[str, Any]:
    """Return vLLM's sampling parameters for what is left of the token limit. The texts are made of the tokens."""
    parameters = {
        "temperature": settings.temperature,
        "top_p": settings.top_p,
        "top_k": settings.top_k or 0,
        "min_p": settings.min_p or 0.0,
        "repetition_penalty": settings.repetition_penalty or 1.0,
        "max_tokens": settings.max_new_tokens - spent,
        "stop_token_ids": sorted(chat.stop_tokens),
        "detokenize": bool(settings.stop),  # only to find the strings that stop it
        "skip_special_tokens": False,
    }
    return parameters | ({"stop": list(settings.stop)} if settings.stop else {})


def answer_seed(seed: int) -> int:
    """Return the seed of an answer that is drawn apart from its thinking."""
    return sample_seed("answer", "", seed)


def prepare_cpu() -> None:
    """Set what vLLM reads from the environment on a CPU, where the user has not: threads, cache, one process."""
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
    os.environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", ",".join(map(str, cores())))
    os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")


def _confidences(logprobs: Any, top: int | None) -> list[float] | None:
    """Return minus the mean log-probability of the likeliest tokens in each place. vLLM adds the drawn one to them."""
    if top is None:
        return None
    places = [[one.logprob for one in place.values() if one.rank <= top] for place in logprobs]
    return [token_confidence(place) for place in places]


def _one_by_one(request: Request) -> list[Request]:
    """Return a request for each sample, with the seed that vLLM gives it among the others."""
    first = request.seeds[0]
    return [replace(request, indices=(i,), seeds=(first + n,)) for n, i in enumerate(request.indices)]


def _shows(request: Request, settings: RolloutSettings) -> bool:
    """Return whether a request's text is shown while it is written: not where its confidences come with it, at the end."""
    return request.shows and not settings.logprobs
