"""What decides the fingerprints of an evaluation, from a candidate pool to its gap report.

Once for base models, once for students. A step also says what its artifacts are made from, and how many rows are wanted.
"""

from typing import Any

from assets.steps import Step
from gsr_dagster.experiment.engines import OpenAI, RecordedSamples
from gsr_dagster.experiment.experiment import Experiment, Model
from gsr_dagster.experiment.keys import CONTAMINATION, ArtifactKey, EvaluationKey, LaneName
from gsr_dagster.experiment.problems.problem_sets import Benchmark, ProblemSet
from resources.grading.grader import grader_version
from resources.models.weights import weights_identity
from resources.store.artifacts import ArtifactStore
from resources.store.hashes import input_sha256

REPORT_VERSION = "8"


class EvaluationStep(Step):
    """A step of a lane, whose partitions are BENCHMARK|SUBJECT."""

    name: str

    def __init__(self, experiment: Experiment, lane: LaneName):
        super().__init__(experiment)
        self.lane: LaneName = lane
        self.asset = f"{lane}/{self.name}"

    @property
    def partitions(self) -> list[str]:
        subjects = self.of_this_round(self.experiment.students) if self.lane == "student" else None
        evaluations = self.experiment.evaluations(self.lane)
        return [one.partition for one in evaluations if subjects is None or one.subject in subjects]

    def of(self, partition: str) -> EvaluationKey:
        return EvaluationKey.parse(self.lane, partition)

    def benchmark(self, partition: str) -> Benchmark:
        return self.experiment.benchmarks[self.of(partition).benchmark]

    def checkpoint(self, partition: str) -> tuple[ArtifactKey, ...]:
        """Return the checkpoints that a student's weights are made from, its own first; a base model has none."""
        return tuple(map(checkpoint_key, self.experiment.trained_on(self.of(partition).subject)))


class SampledStep(EvaluationStep):
    """A step whose samples the subject draws."""

    def sampled(self, partition: str) -> str | None:
        subject = self.of(partition).subject
        return self.experiment.subjects(self.lane)[subject]


class CandidatePools(SampledStep):
    name = "candidate_pools"

    def upstream(self, partition: str) -> tuple[ArtifactKey, ...]:
        return (self.of(partition).problems, *self.checkpoint(partition))

    def settings(self, store: ArtifactStore, partition: str) -> dict[str, Any]:
        evaluation = self.of(partition)
        return {
            **direct_prompt_settings(
                self.experiment, self.experiment.benchmarks[evaluation.benchmark], evaluation.is_student
            ),
            "rollout": self.experiment.rollout("direct", evaluation.subject).model_dump(),
            "problems": store.content(evaluation.problems),
            "model": subject_settings(self.experiment, store, evaluation.subject),
            "seed": self.experiment.seed,
        }

    def wanted(self, partition: str) -> dict[str, Any]:
        return {"samples": self.experiment.benchmarks[self.of(partition).benchmark].samples}


class GradedCandidates(EvaluationStep):
    name = "graded_candidates"

    def upstream(self, partition: str) -> tuple[ArtifactKey, ...]:
        evaluation = self.of(partition)
        return (evaluation.problems, evaluation.artifact(CandidatePools.name))

    def settings(self, store: ArtifactStore, partition: str) -> dict[str, Any]:
        pool = CandidatePools(self.experiment, self.lane).recipe(store, partition)
        return {"pool": pool.fingerprint, "grader": grader_version(self.experiment.evaluation.grader)}

    def wanted(self, partition: str) -> dict[str, Any]:
        return CandidatePools(self.experiment, self.lane).wanted(partition)


class SelfRefinements(SampledStep):
    """Refinements are pinned by their pool's fingerprint, whatever the number of its samples.

    So N can be raised, and the refinements of the groups that are there stay.
    """

    name = "self_refinements"

    def upstream(self, partition: str) -> tuple[ArtifactKey, ...]:
        evaluation = self.of(partition)
        graded = evaluation.artifact(GradedCandidates.name)
        return (evaluation.problems, graded, *self.checkpoint(partition))

    def settings(self, store: ArtifactStore, partition: str) -> dict[str, Any]:
        return {
            "pool": CandidatePools(self.experiment, self.lane).recipe(store, partition).fingerprint,
            "rollout": self.experiment.rollout("refinement", self.of(partition).subject).model_dump(),
            "candidate_tokens": self.experiment.evaluation.candidate_tokens,
            "k": self.experiment.k,
            "prompt": self.experiment.prompts.version("refinement"),
            "seed": self.experiment.seed,
            **refinement_prompt_settings(self.benchmark(partition), self.lane == "student"),
        }

    def wanted(self, partition: str) -> dict[str, Any]:
        return CandidatePools(self.experiment, self.lane).wanted(partition)


class CurveRefinements(SelfRefinements):
    """Refinements at further group sizes, which are wanted and shape no row: one more leaves the others."""

    name = "curve_refinements"

    def settings(self, store: ArtifactStore, partition: str) -> dict[str, Any]:
        settings = super().settings(store, partition)
        del settings["k"]
        return settings

    def wanted(self, partition: str) -> dict[str, Any]:
        return {**super().wanted(partition), "ks": self.experiment.further_ks}


class GapReports(EvaluationStep):
    """The scores of refined groups. A student's are split where training and benchmark problems overlap."""

    name = "gap_reports"
    refined: type[SelfRefinements] = SelfRefinements

    def upstream(self, partition: str) -> tuple[ArtifactKey, ...]:
        evaluation = self.of(partition)
        graded, refined = (evaluation.artifact(step.name) for step in (GradedCandidates, self.refined))
        return (evaluation.problems, graded, refined, *([CONTAMINATION] if self.lane == "student" else []))

    def settings(self, store: ArtifactStore, partition: str) -> dict[str, Any]:
        return {
            "refinements": self.refined(self.experiment, self.lane).recipe(store, partition).fingerprint,
            "grader": grader_version(self.experiment.evaluation.grader),
            "report": REPORT_VERSION,
        }

    def wanted(self, partition: str) -> dict[str, Any]:
        return self.refined(self.experiment, self.lane).wanted(partition)


class GapCurves(GapReports):
    name = "gap_curves"
    refined = CurveRefinements


def evaluation_steps(experiment: Experiment, lane: LaneName) -> list[EvaluationStep]:
    """Return the steps of a lane in the order in which they are made, without its aggregations."""
    curves = (CurveRefinements, GapCurves) if experiment.further_ks else ()
    kinds = (CandidatePools, GradedCandidates, SelfRefinements, GapReports, *curves)
    return [step(experiment, lane) for step in kinds]


def checkpoint_key(student: str) -> ArtifactKey:
    return ArtifactKey("lora_checkpoints", student)


def direct_prompt_settings(experiment: Experiment, problem_set: ProblemSet, of_student: bool) -> dict[str, Any]:
    """Return what shapes the prompts of direct samples, beside the problems."""
    shown = problem_set.examples(of_student)
    return {
        "prompt": experiment.prompts.version("direct"),
        "worked_examples": [{"problem": problem, "solution": solution} for problem, solution in shown],
    }


def refinement_prompt_settings(problem_set: ProblemSet, of_student: bool) -> dict[str, Any]:
    """Return what stands before the prompts of refinements; nothing where nothing does."""
    shown = problem_set.refinements(of_student)
    return (
        {"worked_refinements": [[problem, [*candidates], text] for problem, candidates, text in shown]} if shown else {}
    )


def subject_settings(experiment: Experiment, store: ArtifactStore, subject: str) -> dict[str, Any]:
    """Return what pins the weights of a model, or of a student: the model it is trained from, and its checkpoints."""
    if subject in experiment.models:
        return model_settings(experiment, subject)
    own, *earlier = [store.content(checkpoint_key(student)) for student in experiment.trained_on(subject)]
    return {
        **model_settings(experiment, experiment.root(subject)),
        "thinking_end": experiment.thinking_end(subject),
        "checkpoint": own,
        **({"earlier_checkpoints": earlier} if earlier else {}),
    }


def model_settings(experiment: Experiment, name: str) -> dict[str, Any]:
    """Return what pins a model's samples."""
    model = experiment.models[name]
    engine: dict[str, Any] = {} if model.engine.kind == "transformers" else {"engine": model.engine.kind}
    if isinstance(model.engine, OpenAI):
        engine["served"] = model.engine.model
        asked = {"extra_body": model.engine.extra_body, "reasoning_effort": model.engine.reasoning_effort}
        engine |= {setting: value for setting, value in asked.items() if value}
    if model.chat_template_kwargs:
        engine["chat_template_kwargs"] = model.chat_template_kwargs
    return {"key": name, "weights": sampled_weights(model), "thinking_end": model.thinking_end, **engine}


def sampled_weights(model: Model) -> str:
    """Return the identity of a model's weights, or the sha256 of its recorded samples."""
    if isinstance(model.engine, RecordedSamples):
        return input_sha256(model.engine.path / "samples.parquet")
    if model.source is None:  # a server's, known by the name that it has there
        return f"served:{model.engine.model}" if isinstance(model.engine, OpenAI) else ""
    return weights_identity(model.source)
