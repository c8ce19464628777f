"""What decides the fingerprints of a judge's samples, and of its verdicts beside the grader's."""

from typing import Any

from assets.evaluation.fingerprints import (
    CandidatePools,
    EvaluationStep,
    GradedCandidates,
    SelfRefinements,
    model_settings,
)
from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.experiment.keys import JUDGE_SAMPLES, ArtifactKey, LaneName
from gsr_dagster.experiment.settings import Judge
from gsr_dagster.method.judging import JUDGE_PROMPT_VERSION, VERDICT_VERSION
from resources.grading.grader import grader_version
from resources.store.artifacts import ArtifactStore


class JudgeStep(EvaluationStep):
    """A step of a lane whose evaluations have a judge."""

    def __init__(self, experiment: Experiment, lane: LaneName, judge: Judge):
        super().__init__(experiment, lane)
        self.judge = judge

    def upstream(self, partition: str) -> tuple[ArtifactKey, ...]:
        evaluation = self.of(partition)
        answers = (evaluation.artifact(step.name) for step in (GradedCandidates, SelfRefinements))
        return (evaluation.problems, *answers)

    def wanted(self, partition: str) -> dict[str, Any]:
        return SelfRefinements(self.experiment, self.lane).wanted(partition)


class JudgeSamples(JudgeStep):
    """What the judge writes is pinned by the pool's fingerprint, whatever the refinements: a new answer leaves the others."""

    name = JUDGE_SAMPLES

    def sampled(self, partition: str) -> str:
        return self.judge.model

    def settings(self, store: ArtifactStore, partition: str) -> dict[str, Any]:
        return {
            "pool": CandidatePools(self.experiment, self.lane).recipe(store, partition).fingerprint,
            "prompt": f"judge {JUDGE_PROMPT_VERSION}",
            "model": model_settings(self.experiment, self.judge.model),
            "rollout": self.judge.rollout.model_dump(),
            "seed": self.experiment.seed,
        }


class JudgeVerdicts(JudgeStep):
    name = "judge_verdicts"

    def upstream(self, partition: str) -> tuple[ArtifactKey, ...]:
        return (*super().upstream(partition), self.of(partition).artifact(JudgeSamples.name))

    def settings(self, store: ArtifactStore, partition: str) -> dict[str, Any]:
        return {
            "judge": JudgeSamples(self.experiment, self.lane, self.judge).recipe(store, partition).fingerprint,
            "refinements": SelfRefinements(self.experiment, self.lane).recipe(store, partition).fingerprint,
            "grader": grader_version(self.experiment.evaluation.grader),
            "verdicts": VERDICT_VERSION,
        }


def judge_steps(experiment: Experiment, lane: LaneName) -> list[EvaluationStep]:
    """Return the steps of a lane's judge in the order in which they are made; none where there is no judge."""
    if experiment.judge is None:
        return []
    return [step(experiment, lane, experiment.judge) for step in (JudgeSamples, JudgeVerdicts)]
