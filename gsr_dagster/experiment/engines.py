"""Engines of the experiment file: what samples a model, and its settings."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from gsr_dagster.experiment.addresses import server_address
from gsr_dagster.experiment.settings import Count, Section, from_folder

# The ranks of an adapter for which vLLM makes room.
LORA_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)


class Price(Section):
    """What a million tokens cost, those of prompts and those that are generated: all prices of a file in one currency.

    The plan and the report count with it. It shapes no sample.
    """

    prompt: float = Field(ge=0)
    generated: float = Field(ge=0)

    def of(self, prompt: float, generated: float) -> float:
        """Return what so many tokens cost."""
        return (prompt * self.prompt + generated * self.generated) / 1_000_000


class Transformers(Section):
    """The embedded engine: ``batch_size`` samples are decoded together."""

    kind: Literal["transformers"] = "transformers"
    batch_size: Count = 32
    price: Price | None = None

    @property
    def gpus(self) -> int:
        """How many GPUs of this machine it asks for, where there are any."""
        return 1


class VLLM(Section):
    """vLLM in this process. What is not set is vLLM's own default."""

    kind: Literal["vllm"]
    tensor_parallel_size: Count = 1
    gpu_memory_utilization: float = Field(default=0.9, gt=0, le=1)
    max_model_len: Count | None = None
    price: Price | None = None

    @property
    def gpus(self) -> int:
        return self.tensor_parallel_size

    @model_validator(mode="before")
    @classmethod
    def _one_replica(cls, data: Any) -> Any:
        if isinstance(data, dict) and "data_parallel_size" in data:
            raise ValueError(
                "data_parallel_size: vLLM 0.32 has no replicas inside one process, and hangs with more than one. "
                "Take {kind: ray, replicas: N}, or vllm serve --data-parallel-size N and {kind: openai}"
            )
        return data


class Ray(Section):
    """vLLM on a Ray cluster, ``replicas`` of it. Without an address a local Ray is started for the run."""

    kind: Literal["ray"]
    address: str | None = None
    replicas: Count = 1
    tensor_parallel_size: Count = 1
    gpu_memory_utilization: float = Field(default=0.9, gt=0, le=1)
    max_model_len: Count | None = None
    price: Price | None = None

    @property
    def gpus(self) -> int:
        """Those of this machine: a cluster that runs already gives out its own."""
        return 0 if self.address else self.replicas * self.tensor_parallel_size


# What a request adds to an address, and people copy with it.
ADDED = ("/chat/completions", "/completions")


def _address(url: str) -> str:
    server_address(url, "http://localhost:8000/v1")
    plain = url.rstrip("/")
    if added := next((one for one in ADDED if plain.partition("://")[2].endswith(one)), None):
        like = plain.removesuffix(added)
        raise ValueError(f"{url!r} ends with {added}, which every request adds: write {like}")
    return url


BaseUrl = Annotated[str, AfterValidator(_address)]


# What every request says already, and where it is set.
OWN_PARAMETERS = {
    **dict.fromkeys(("temperature", "top_p", "top_k", "min_p", "repetition_penalty", "stop"), "rollout settings"),
    **dict.fromkeys(("max_tokens", "max_completion_tokens"), "max_new_tokens of the rollout settings"),
    "thinking_token_budget": "thinking_tokens of the rollout settings",
    "chat_template_kwargs": "chat_template_kwargs of the model",
    "reasoning_effort": "reasoning_effort of the engine",
    "n": "n of the engine",
    "seed": "seed of the experiment",
    "model": "model of the engine",
    **dict.fromkeys(("messages", "stream"), "nowhere: the project sets it"),
}


class OpenAI(Section):
    """Any OpenAI-compatible server, as ``vllm serve`` is one. The key is read from a variable of the environment;
    an address that holds a name and password, or a query, is refused, as it stands in logs.

    Of several ``base_url`` that serve the model, the least busy is asked. ``timeout`` is in
    seconds an attempt; a request that fails is tried again up to ``retries`` times, whatever
    was in its samples. ``n`` samples at most are asked for in one request, where the server
    draws several. ``mode: batch`` uploads all requests as one batch and waits for it.

    ``extra_body`` is added to every request. ``tokenizer``, a source as a model's, counts tokens
    where the server cannot; ``context`` is the most tokens of prompt and answer together, where
    the server does not say. ``most_tokens`` and ``most_cost`` end a run that spends more.
    """

    kind: Literal["openai"]
    base_url: BaseUrl | Annotated[tuple[BaseUrl, ...], Field(min_length=1)]
    model: str
    api_key_variable: str = "OPENAI_API_KEY"
    concurrency: Count = 32
    timeout: float = Field(default=600, gt=0)
    retries: Annotated[int, Field(ge=0)] = 8
    n: Count = 8
    mode: Literal["requests", "batch"] = "requests"
    tokenizer: str | None = None
    context: Count | None = None
    extra_body: dict[str, Any] = Field(default={})
    reasoning_effort: str | None = None
    price: Price | None = None
    most_tokens: Count | None = None
    most_cost: float | None = Field(default=None, gt=0)

    @property
    def gpus(self) -> int:
        return 0

    @property
    def base_urls(self) -> tuple[str, ...]:
        return (self.base_url,) if isinstance(self.base_url, str) else self.base_url

    @field_validator("extra_body")
    @classmethod
    def _of_its_own(cls, extra_body: dict[str, Any]) -> dict[str, Any]:
        if taken := sorted(set(extra_body) & set(OWN_PARAMETERS)):
            where = ", ".join(f"{name} ({OWN_PARAMETERS[name]})" for name in taken)
            raise ValueError(f"is not the place of {where}")
        return extra_body

    @model_validator(mode="after")
    def _knows_its_price(self) -> Self:
        if self.most_cost is not None and self.price is None:
            raise ValueError("most_cost needs price: {prompt: …, generated: …}, for a million tokens each")
        return self


class RecordedSamples(Section):
    """Samples drawn before, from a folder that ``gsr import`` wrote: no model is needed."""

    kind: Literal["recorded"]
    path: Annotated[Path, AfterValidator(from_folder)]
    price: Price | None = None

    @property
    def gpus(self) -> int:
        return 0


EngineSettings = Annotated[Transformers | VLLM | Ray | OpenAI | RecordedSamples, Field(discriminator="kind")]
