"""Any OpenAI-compatible server: `vllm serve`, a fleet behind a balancer, a hosted teacher.

One request a sample, each with its own seed: what fails costs one sample, and the
server's prefix cache keeps the prompt. A request is tried again after a refusal, a
fault, a broken or late answer; never for what a sample says.
"""

import logging
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from gsr_dagster.experiment.engines import OpenAI
from gsr_dagster.experiment.settings import RolloutSettings
from resources.engines.base import EngineError, Request, Sample
from resources.texts import storable

LONGEST_PAUSE = 60.0
LONGEST_MESSAGE = 300

log = logging.getLogger(__name__)


class OpenAIEngine:
    """A served model. ``failures`` counts the requests that failed, by kind, tried again or not."""

    def __init__(self, tokenizer: Path, settings: OpenAI):
        import openai
        from transformers import AutoTokenizer

        self.settings = settings
        self.key = os.environ.get(settings.api_key_variable, "").strip()
        self.client = openai.OpenAI(
            base_url=settings.base_url, api_key=self.key or "none", timeout=settings.timeout, max_retries=0
        )
        self.tokenizer = AutoTokenizer.from_pretrained(tokenizer, trust_remote_code=False)
        self.failures: Counter[str] = Counter()

    def tokenize(self, text: str) -> list[int]:
        return self.tokenizer(text, add_special_tokens=False)["input_ids"]

    def detokenize(self, tokens: list[int]) -> str:
        return self.tokenizer.decode(tokens, skip_special_tokens=True)

    def close(self) -> None:
        self.client.close()

    def sample(self, requests: Sequence[Request], settings: RolloutSettings) -> Iterator[list[Sample]]:
        lost: list[str] = []
        wanted = [(r, index, seed) for r in requests for index, seed in zip(r.indices, r.seeds, strict=True)]
        with ThreadPoolExecutor(self.settings.concurrency) as pool:
            pending = [pool.submit(self._sample, *one, settings) for one in wanted]
            try:
                for future in as_completed(pending):
                    yield from self._finished(future, lost)
            finally:
                pool.shutdown(cancel_futures=True)
        if self.failures:
            log.warning("%s: failed requests, by kind: %s", self.settings.base_url, dict(self.failures))
        if lost:
            raise EngineError(f"{len(lost)} of {len(wanted)} samples could not be had; the first: {lost[0]}")

    def _finished(self, future: Future[Sample], lost: list[str]) -> Iterator[list[Sample]]:
        from openai import OpenAIError

        try:
            yield [future.result()]
        except (OpenAIError, ValueError) as error:
            lost.append(self._told(error))

    def _sample(self, request: Request, index: int, seed: int, settings: RolloutSettings) -> Sample:
        from openai import APIConnectionError, APIResponseValidationError, InternalServerError, RateLimitError
        from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

        # A broken body is a ValueError of the JSON parser, or of `_checked`.
        passing = (APIConnectionError, APIResponseValidationError, InternalServerError, RateLimitError, ValueError)
        attempts = Retrying(
            stop=stop_after_attempt(self.settings.retries + 1),
            wait=wait_random_exponential(multiplier=0.5, max=LONGEST_PAUSE),
            retry=retry_if_exception_type(passing),
            reraise=True,
        )
        return attempts(self._ask, request, index, seed, settings)

    def _ask(self, request: Request, index: int, seed: int, settings: RolloutSettings) -> Sample:
        try:
            answer = self.client.chat.completions.create(
                model=self.settings.model,
                messages=request.messages,  # pyright: ignore[reportArgumentType]
                seed=seed,
                temperature=settings.temperature,
                top_p=settings.top_p,
                max_tokens=settings.max_new_tokens,
            )
            return _checked(answer, request.id, index, seed)
        except Exception as error:
            self.failures[type(error).__name__] += 1
            raise

    def _told(self, error: Exception) -> str:
        """Return what an error says, short, without the key that a server may repeat."""
        said = f"{type(error).__name__}: {error}"
        return (said.replace(self.key, "…") if self.key else said)[:LONGEST_MESSAGE]


def _checked(answer: Any, request_id: str, index: int, seed: int) -> Sample:
    """Return the sample of an answer. Raises ValueError where a part of it is missing: the body broke off.

    Its text is as it came, but for lone surrogates, which JSON can carry and no file of ours: they become U+FFFD.
    """
    try:
        (choice,) = answer.choices
        text, usage = choice.message.content, answer.usage
        reason = "length" if choice.finish_reason == "length" else "stop"
        return Sample(
            request_id, index, seed, storable(text or ""), reason, usage.prompt_tokens, usage.completion_tokens
        )
    except (AttributeError, TypeError) as error:
        raise ValueError(f"an answer without its parts: {error}") from None
