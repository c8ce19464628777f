"""What decides the fingerprints of all that makes a student: candidates, teacher samples, training set and checkpoint."""

from typing import Any

from assets.evaluation.fingerprints import (
    checkpoint_key,
    direct_prompt_settings,
    refinement_prompt_settings,
    sampled_weights,
    subject_settings,
)
from assets.problems.fingerprints import TrainingProblems
from assets.steps import Step
from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.experiment.keys import CONTAMINATION, TRAINING_PROBLEMS, ArtifactKey
from gsr_dagster.experiment.settings import Rollouts
from gsr_dagster.experiment.students import Student
from resources.grading.grader import grader_version
from resources.store.artifacts import ArtifactStore
from resources.training.targets import TARGET_VERSION

# Settings that choose among the kept rows: they stand in a fingerprint where they are set.
CHOSEN = {"identical_rows", "rows_a_problem", "hard_share"}


class TeachingStep(Step):
    """A step whose partitions are the students."""

    @property
    def partitions(self) -> list[str]:
        return self.of_this_round(self.experiment.students)

    def checkpoints(self, name: str) -> tuple[ArtifactKey, ...]:
        """Return the checkpoints of a student that another one learns from, or begins as; none of a model."""
        return tuple(map(checkpoint_key, self.experiment.trained_on(name)))

    def student(self, partition: str) -> Student:
        return self.experiment.students[partition]


class TeachingSamples(TeachingStep):
    """Samples for a training set: a new folder whenever what is upstream changes."""

    def rollouts(self, student: Student) -> Rollouts:
        raise NotImplementedError

    def sampler(self, student: Student) -> str:
        """Return the model that writes the samples."""
        raise NotImplementedError

    def sampled(self, partition: str) -> str | None:
        return self.sampler(self.student(partition))

    def gpus(self, partition: str) -> int:
        return super().gpus(partition) if self.student(partition).samples(self.asset) else 0

    def upstream(self, partition: str) -> tuple[ArtifactKey, ...]:
        return (TRAINING_PROBLEMS, *self.checkpoints(self.sampler(self.student(partition))))

    def awaited(self, partition: str) -> tuple[ArtifactKey, ...]:
        """Return what is read, and every student that is needed later: so a student's teaching is one run."""
        return (*self.upstream(partition), *map(checkpoint_key, self.experiment.earlier(partition)))

    def settings(self, store: ArtifactStore, partition: str) -> dict[str, Any]:
        student = self.student(partition)
        return {
            **self.prompt_settings(self.sampler(student)),
            "rollout": self.rollouts(student).model_dump(exclude={"samples"}),
            "model": subject_settings(self.experiment, store, self.sampler(student)),
            "seed": self.experiment.seed,
            "upstream": [store.content(key) for key in self.upstream(partition)],
        }

    def prompt_settings(self, sampler: str) -> dict[str, Any]:
        """Return what shapes the prompts, and the plain ones that stand beside them for the student."""
        problem_set = TrainingProblems(self.experiment).problem_set
        plain = {} if problem_set.students_see_examples else {"students_see_examples": False}
        return {**direct_prompt_settings(self.experiment, problem_set, sampler in self.experiment.students), **plain}

    def wanted(self, partition: str) -> dict[str, Any]:
        return {"samples": self.student(partition).samples(self.asset)}


class TrainingCandidates(TeachingSamples):
    asset = "training_candidates"
    gates = (CONTAMINATION.asset,)

    def rollouts(self, student: Student) -> Rollouts:
        return student.candidates

    def sampler(self, student: Student) -> str:
        return student.sampler


class TeacherSamples(TeachingSamples):
    """Samples of a teacher: there are none in a round whose students all learn from rewards."""

    @property
    def partitions(self) -> list[str]:
        return [name for name in super().partitions if self.experiment.has_teachers(self.experiment.round(name))]


class TeacherRefinements(TeacherSamples):
    asset = "teacher_refinements"

    def rollouts(self, student: Student) -> Rollouts:
        return student.refinements

    def sampler(self, student: Student) -> str:
        return student.refiner

    def upstream(self, partition: str) -> tuple[ArtifactKey, ...]:
        return (*super().upstream(partition), ArtifactKey(TrainingCandidates.asset, partition))

    def settings(self, store: ArtifactStore, partition: str) -> dict[str, Any]:
        groups, refiner = self.student(partition).groups, self.student(partition).refiner
        prompts = self.experiment.prompts
        return {
            **super().settings(store, partition),
            **({"groups": groups} if groups > 1 else {}),
            "k": self.experiment.k,
            **({"refinement_prompt": prompts.version("refinement")} if prompts.refinement else {}),
            "candidate_tokens": self.experiment.evaluation.candidate_tokens,
            **refinement_prompt_settings(
                TrainingProblems(self.experiment).problem_set, refiner in self.experiment.students
            ),
            "grader": grader_version(self.experiment.evaluation.grader),
        }


class TeacherSolutions(TeacherSamples):
    asset = "teacher_solutions"
    gates = (CONTAMINATION.asset,)

    def rollouts(self, student: Student) -> Rollouts:
        return student.solutions

    def sampler(self, student: Student) -> str:
        return student.solver


class TrainingSets(TeachingStep):
    asset = "training_sets"

    def upstream(self, partition: str) -> tuple[ArtifactKey, ...]:
        if self.student(partition).by_rewards:
            return (TRAINING_PROBLEMS, ArtifactKey(TrainingCandidates.asset, partition))
        samples = (TeacherRefinements.asset, TeacherSolutions.asset)
        hard = self.student(partition).hard_share is not None  # the candidates' answers say what their vote is
        candidates = [ArtifactKey(TrainingCandidates.asset, partition)] if hard else []
        return (TRAINING_PROBLEMS, *(ArtifactKey(asset, partition) for asset in samples), *candidates)

    def settings(self, store: ArtifactStore, partition: str) -> dict[str, Any]:
        student = self.student(partition)
        how = {
            "samples": [student.refinements.samples, student.solutions.samples],
            "keep_when_all_correct": student.keep_when_all_correct,
        }
        return {
            **(self._prompts(student) if student.by_rewards else how),
            "prompt_tokens": student.prompt_tokens,
            "rows": student.rows,
            "most_rows": student.most_rows,
            **student.model_dump(include=CHOSEN, exclude_defaults=True),
            "grader": grader_version(self.experiment.evaluation.grader),
            "seed": self.experiment.seed,
            "upstream": [store.content(key) for key in self.upstream(partition)],
        }

    def _prompts(self, student: Student) -> dict[str, Any]:
        """Return what shapes the prompts of a student that learns from rewards: no teacher was asked them before."""
        experiment, problem_set = self.experiment, TrainingProblems(self.experiment).problem_set
        return {
            "tokenizer": sampled_weights(experiment.subject_model(student.base)),
            **direct_prompt_settings(experiment, problem_set, True),
            **refinement_prompt_settings(problem_set, True),
            "refinement_prompt": experiment.prompts.version("refinement"),
            "candidate_tokens": experiment.evaluation.candidate_tokens,
            "answer_tokens": student.refinements.max_new_tokens,
            "k": experiment.k,
            "groups": student.groups,
        }


class LoraCheckpoints(TeachingStep):
    asset = checkpoint_key("").asset

    def gpus(self, partition: str) -> int:
        training = self.student(partition).training
        return 0 if training.launch == "ray" and self.experiment.cluster(partition) else training.gpus

    def upstream(self, partition: str) -> tuple[ArtifactKey, ...]:
        return (ArtifactKey(TrainingSets.asset, partition), *self.checkpoints(self.student(partition).base))

    def settings(self, store: ArtifactStore, partition: str) -> dict[str, Any]:
        student = self.student(partition)
        base = self.experiment.subject_model(student.base)
        rows, *earlier = [store.content(key) for key in self.upstream(partition)]
        template = {"chat_template_kwargs": base.chat_template_kwargs} if base.chat_template_kwargs else {}
        return {
            "base": sampled_weights(base),
            **({"earlier_checkpoints": earlier} if earlier else {}),
            **template,
            **(self._rewards(partition) if student.by_rewards else {}),
            "lora": student.lora and student.lora.model_dump(),
            "training": student.training.learned,
            "tokens": TARGET_VERSION,
            "seed": self.experiment.seed,
            "training_set": rows,
        }

    def _rewards(self, partition: str) -> dict[str, Any]:
        """Return what decides the rewards."""
        evaluation, thinking_end = self.experiment.evaluation, self.experiment.thinking_end(partition)
        return {
            "grader": grader_version(evaluation.grader),
            **({"thinking_end": thinking_end} if thinking_end else {}),
        }


def teaching_steps(experiment: Experiment) -> list[TeachingStep]:
    """Return the steps that make a student, in their order."""
    kinds = (TrainingCandidates, TeacherRefinements, TeacherSolutions, TrainingSets, LoraCheckpoints)
    return [step(experiment) for step in kinds]
