"""The form of a request that a server takes: servers differ in what they refuse.

A form is found at the door and changes where the server's answer names what it refuses. What
shapes a text (temperature, top_p, what the experiment file sets) is never left out.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from gsr_dagster.experiment.settings import RolloutSettings

# What `vllm serve` and SGLang would else take from the generation_config.json of the model's folder.
NEUTRAL: dict[str, Any] = {"top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0}
ENGINES_WITH_DEFAULTS = ("vllm", "sglang")


@dataclass(frozen=True)
class RequestForm:
    """What of a request a server takes.

    ``several``: n samples in one; ``own_budget``: vLLM's limit of thinking; ``streamed``: a text as it is written.
    """

    token_limit: str = "max_tokens"
    seed: bool = True
    several: bool = True
    neutral: bool = False
    special_tokens: bool = False
    own_budget: bool = True
    prefilled: bool = True
    streamed: bool = True

    def body(self, settings: RolloutSettings, limit: int, seed: int, n: int) -> dict[str, Any]:
        """Return the sampling parameters of a request for n samples of at most ``limit`` tokens."""
        body: dict[str, Any] = {"temperature": settings.temperature, "top_p": settings.top_p, self.token_limit: limit}
        if self.seed:
            body["seed"] = seed
        if n > 1:
            body["n"] = n
        if settings.logprobs:
            body |= {"logprobs": True, "top_logprobs": settings.logprobs}
        if settings.stop:
            body["stop"] = list(settings.stop)
        if self.neutral:
            body |= NEUTRAL
        if self.special_tokens:  # else an end of thinking that is one would be stripped
            body["skip_special_tokens"] = False
        asked = {name: getattr(settings, name) for name in NEUTRAL}
        return body | {name: value for name, value in asked.items() if value is not None}

    def limit(self, body: Mapping[str, Any]) -> int:
        """Return the most tokens that a request in this form asks for."""
        return body[self.token_limit]

    def without(self, refusal: str, parameter: str | None) -> "RequestForm | None":
        """Return the form that leaves out what a refusal names; None where that is nothing of ours."""

        def named(*names: str) -> bool:
            return parameter in names or any(re.search(rf"\b{name}\b", refusal) for name in names)

        other_limit = "max_completion_tokens" if self.token_limit == "max_tokens" else None
        if self.own_budget and named("thinking_token_budget", "reasoning_config"):
            return replace(self, own_budget=False)
        if other_limit and (named(other_limit) or parameter == self.token_limit or _not_known("max_tokens", refusal)):
            return replace(self, token_limit=other_limit)
        if self.seed and named("seed"):
            return replace(self, seed=False)
        if self.neutral and named(*NEUTRAL):
            return replace(self, neutral=False)
        if self.special_tokens and named("skip_special_tokens"):
            return replace(self, special_tokens=False)
        if self.prefilled and named("continue_final_message", "add_generation_prompt"):
            return replace(self, prefilled=False)
        if self.streamed and named("stream", "stream_options"):
            return replace(self, streamed=False)
        if self.several and (
            parameter == "n"
            or re.search(r"(?<![\w'’])['\"`]?n['\"`]?(?= must| is| should|:|=| >| greater)|\bbest_of\b", refusal)
        ):
            return replace(self, several=False)
        return None

    def plainer(self) -> "RequestForm | None":
        """Return the form with one thing less, after a refusal that names nothing; None where nothing is left to drop."""
        for name in ("several", "special_tokens", "neutral", "seed"):
            if getattr(self, name):
                return replace(self, **{name: False})
        return replace(self, token_limit="max_completion_tokens") if self.token_limit == "max_tokens" else None


def _not_known(parameter: str, refusal: str) -> bool:
    unknown = (
        r"(unsupported|not (?:supported|permitted|allowed|accepted)|unknown|unrecognized|unexpected|forbidden|"
        r"deprecated|no longer|invalid parameter)"
    )
    return bool(
        re.search(
            rf"{unknown}.{{0,80}}\b{parameter}\b|\b{parameter}\b.{{0,80}}{unknown}", refusal, re.IGNORECASE | re.DOTALL
        )
    )
