"""Settings of sampling: the rollouts, the engines that draw them, the aggregations; and the lines of the checks."""

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo

Count = Annotated[int, Field(ge=1, le=1_000_000_000)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]  # what numpy, torch and Trainer take
Share = Annotated[float, Field(ge=0, le=1)]


class Section(BaseModel):
    """A part of the experiment file: unknown keys are refused, nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def from_folder(path: Path, info: ValidationInfo) -> Path:
    """Return a path of the experiment file, which stands relative to the file's folder."""
    folder = (info.context or {}).get("folder", Path.cwd())
    try:
        return (folder / path.expanduser()).resolve()
    except (OSError, RuntimeError) as error:  # a home or a loop of links that there is not
        raise ValueError(f"{str(path)!r}: {error}") from None


HUB_SOURCE = r"hf:[\w.-]+/[\w.-]+@[\w.-]+(?:/[\w.-]+)*"


def refuse_path(source: str) -> str:
    """Return a source KIND:PATH-OR-NAME. Raises ValueError where the path cannot be one, or a hub's name leads up."""
    kind, _, name = source.partition(":")
    if "\0" in name or (kind == "hf" and ".." in name):
        raise ValueError(f"{source!r} is not {kind}: with a name that can be one")
    try:
        Path(name).expanduser()
    except RuntimeError as error:
        raise ValueError(f"{source!r}: {error}") from None
    return source


# The ranks of an adapter for which vLLM makes room.
LORA_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)


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
    """Any OpenAI-compatible server, as ``vllm serve`` is one. The key is read from a variable of the environment;
    an address that holds a name and password, or a query, is refused, as it stands in logs.

    ``timeout`` is in seconds an attempt; a request that fails is tried again up to
    ``retries`` times, whatever was in its samples.
    """

    kind: Literal["openai"]
    base_url: str = Field(pattern=r"^https?://[^/@?\s]+(/[^?\s]*)?$")
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
    if not re.fullmatch(rf"{HUB_SOURCE}|path:.+", source):
        raise ValueError(f"{source!r} is not hf:ORG/NAME@REVISION or path:FOLDER (a GGUF file holds no reward model)")
    return refuse_path(source)


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


class Checks(Section):
    """Where the asset checks draw their lines, as shares 0..1; they change no artifact.

    Of samples: those cut off by the token limit, with thinking that never ends, with a text
    that their problem has already, without an answer, timed out in the grader. Of the
    teacher: right refinements, right solutions, all-wrong groups with a row in the training
    set, rows longer than the student reads. ``least_gap_lead`` is of the teacher's gap to
    the student's base's; the last two are of a student to its base, where the whole
    interval must say so.
    """

    most_truncated: Share = 0.1
    most_unclosed: Share = 0.05
    most_repeated: Share = 0.5
    most_without_answer: Share = 0.2
    most_timed_out: Share = 0.01
    least_teacher_yield: Share = 0.1
    least_all_wrong_kept: Share = 0.1
    most_overlong: Share = 0.0
    least_gap_lead: Share = 0.0
    most_pass_at_1_lost: Share = 0.0
    least_gap_gained: Share = 0.0
