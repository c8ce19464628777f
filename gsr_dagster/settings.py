"""Settings of sampling: the rollouts, the engines that draw them, and the aggregations of a group's candidates."""

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo

Count = Annotated[int, Field(ge=1)]


class Section(BaseModel):
    """A part of the experiment file: unknown keys are refused, nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def from_folder(path: Path, info: ValidationInfo) -> Path:
    """Return a path of the experiment file, which stands relative to the file's folder."""
    folder = (info.context or {}).get("folder", Path.cwd())
    return (folder / path.expanduser()).resolve()


class RolloutSettings(Section):
    """How a model is sampled. Temperature 0 decodes greedily."""

    temperature: float = Field(ge=0, le=2)
    top_p: float = Field(default=0.95, gt=0, le=1)
    max_new_tokens: Count


class Rollouts(RolloutSettings):
    """Rollout settings with the number of samples per prompt."""

    samples: Count


class Transformers(Section):
    """The embedded engine: ``batch_size`` samples are decoded together."""

    kind: Literal["transformers"] = "transformers"
    batch_size: Count = 32


class VLLM(Section):
    """vLLM in this process. What is not set is vLLM's own default."""

    kind: Literal["vllm"]
    tensor_parallel_size: Count = 1
    data_parallel_size: Count = 1
    gpu_memory_utilization: float = Field(default=0.9, gt=0, le=1)
    max_model_len: Count | None = None


class Ray(Section):
    """vLLM on a Ray cluster, ``replicas`` of it. Without an address a local Ray is started for the run."""

    kind: Literal["ray"]
    address: str | None = None
    replicas: Count = 1
    tensor_parallel_size: Count = 1
    gpu_memory_utilization: float = Field(default=0.9, gt=0, le=1)
    max_model_len: Count | None = None


class OpenAI(Section):
    """Any OpenAI-compatible server, as ``vllm serve`` is one. The key is read from a variable of the environment.

    ``timeout`` is in seconds an attempt; a request that fails is tried again up to
    ``retries`` times, whatever was in its samples.
    """

    kind: Literal["openai"]
    base_url: str = Field(pattern=r"^https?://")
    model: str
    api_key_variable: str = "OPENAI_API_KEY"
    concurrency: Count = 32
    timeout: float = Field(default=600, gt=0)
    retries: Annotated[int, Field(ge=0)] = 8


class RecordedSamples(Section):
    """Samples drawn before, from a folder that ``gsr import`` wrote: no model is needed."""

    kind: Literal["recorded"]
    path: Annotated[Path, AfterValidator(from_folder)]


EngineSettings = Annotated[Transformers | VLLM | Ray | OpenAI | RecordedSamples, Field(discriminator="kind")]


def _reward_model_source(source: str) -> str:
    if not re.fullmatch(r"hf:[^/@]+/[^/@]+@[^@]+|path:.+", source):
        raise ValueError(f"{source!r} is not hf:ORG/NAME@REVISION or path:FOLDER (a GGUF file holds no reward model)")
    return source


class RewardModelChoice(Section):
    """Best-of-k by a sequence classifier, ``batch_size`` candidates scored together."""

    kind: Literal["reward_model"]
    source: Annotated[str, AfterValidator(_reward_model_source)]
    batch_size: Count = 8


def _scores_file(path: Path, info: ValidationInfo) -> Path:
    if path.suffix not in (".jsonl", ".parquet"):
        raise ValueError(f"{path} is not a .jsonl or .parquet file")
    return from_folder(path, info)


class RecordedScores(Section):
    """Best-of-k by scores someone recorded: ``candidate_id`` and ``score`` in a JSONL or Parquet file."""

    kind: Literal["recorded_scores"]
    path: Annotated[Path, AfterValidator(_scores_file)]


class GenerativeSelection(Section):
    """The model judges the candidates and picks one, as GenSelect does."""

    kind: Literal["generative_selection"]


class UniversalSelfConsistency(Section):
    """The model picks the candidate that agrees most with the others (arXiv 2311.17311)."""

    kind: Literal["universal_self_consistency"]


class Synthesis(Section):
    """Another model of the file refines the groups."""

    kind: Literal["synthesis"]
    model: str


class RepeatedRefinement(Section):
    """Every round but the last refines a group k times, and the k refinements are the next round's group."""

    kind: Literal["repeated_refinement"]
    rounds: Annotated[int, Field(ge=2)] = 2


class ShuffledRefinement(Section):
    """The same groups refined with their candidates in another order, and once more in the same, to tell the two apart."""

    kind: Literal["shuffled_refinement"]


class PlannedRefinement(Section):
    """Refinement of groups built to hold exactly 0..k correct candidates, so many groups of each where possible."""

    kind: Literal["planned_refinement"]
    groups_per_stratum: Count


Aggregation = Annotated[
    RewardModelChoice
    | RecordedScores
    | GenerativeSelection
    | UniversalSelfConsistency
    | Synthesis
    | RepeatedRefinement
    | ShuffledRefinement
    | PlannedRefinement,
    Field(discriminator="kind"),
]
