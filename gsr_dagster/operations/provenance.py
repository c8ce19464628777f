"""Why a row is in a student's training set, as lines: its problem, its group, and the rule that kept it.

refinement/qwq-32b/training/17/g0/3 is one of 368,214 rows of training_sets[qwen2.5-7b-gsr] 5f0c7a1e9b2d
problem training/17, gold 42: How many ...
its group, 1 of 4 candidates correct:
  1. qwen2.5-7b/training/17/0: incorrect, answer 41
...
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pyarrow.parquet as pq

from assets.grading import graded_rows
from assets.teaching.chosen_rows import TrainingSetCounts
from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.experiment.keys import TRAINING_PROBLEMS, ArtifactKey
from gsr_dagster.experiment.students import Student
from gsr_dagster.method.candidate_pool import by_problem
from gsr_dagster.method.rejection_sampling import ending, teaches
from gsr_dagster.method.rows import Row
from resources.grading.grader import Grader
from resources.store.artifacts import ArtifactStore
from resources.store.errors import ArtifactError


@dataclass(frozen=True)
class TaughtRow:
    """A row of a student's training set, with what it was made from, which is read once and where it is asked for."""

    experiment: Experiment
    store: ArtifactStore
    student_name: str
    row: Row

    @property
    def student(self) -> Student:
        return self.experiment.students[self.student_name]

    @property
    def refined(self) -> bool:
        return self.row["kind"] == "refinement"

    @property
    def teacher(self) -> str:
        return self.student.refiner if self.refined else self.student.solver

    @cached_property
    def problem(self) -> Row:
        (problem,) = [p for p in self.store.read(TRAINING_PROBLEMS) if p["problem_id"] == self.row["problem_id"]]
        return problem

    @cached_property
    def samples(self) -> list[Row]:
        """All that the teacher wrote to the row's prompt, graded, by sample index.

        Raises ArtifactError where the row's own sample is not there any more.
        """
        drawn = ArtifactKey("teacher_refinements" if self.refined else "teacher_solutions", self.student_name)
        samples = self.graded(drawn, self.teacher)
        own = next((s for s in samples if sample_id(s) == self.row["teacher_sample_id"]), None)
        if own is None:
            raise ArtifactError(
                f"{self.row['teacher_sample_id']} is not in {drawn} any more: `gsr lineage {self.student_name}` shows more"
            )
        return [s for s in samples if s["prompt_id"] == own["prompt_id"]]  # a problem may have several groups

    def graded(self, key: ArtifactKey, model: str) -> list[Row]:
        """Return an artifact's samples of the row's problem, graded, by sample index."""
        problem_id = self.problem["problem_id"]
        samples = [row for row in self.store.read(key) if row["problem_id"] == problem_id]
        grader = Grader(name=self.experiment.evaluation.grader)
        graded = graded_rows(grader, str(key), [self.problem], samples, self.experiment.subject_model(model))
        return by_problem(graded).get(problem_id, [])

    def why(self) -> Iterator[str]:
        """Yield, as lines, why the row is there. Raises ArtifactError where what it was made from is not there any more."""
        row, key = self.row, ArtifactKey("training_sets", self.student_name)
        manifest = self.store.existing(key)
        yield f"{row['row_id']} is one of {manifest.rows:,} rows of {key} {manifest.data_version[:12]}"
        yield problem_line(self.problem)
        yield from self._why_by_rewards() if self.student.by_rewards else self._why_taught(key)
        for upstream, read in manifest.upstream.items():
            now = self.store.data_version(ArtifactKey.parse(upstream))
            if now != read:
                yield f"BROKEN: {upstream} was {read[:12]} when the set was made, and is {(now or 'missing')[:12]} now"

    @property
    def pool(self) -> ArtifactKey:
        """The artifact that holds the candidates."""
        return ArtifactKey("training_candidates", self.student_name)

    @cached_property
    def candidates(self) -> list[tuple[str, Row | None]]:
        """The ids of the candidates that the prompt shows, in its order, each graded, None where it is not there any more."""
        if not self.refined:
            return []
        graded = {c["candidate_id"]: c for c in self.graded(self.pool, self.student.sampler)}
        return [(candidate_id, graded.get(candidate_id)) for candidate_id in self.row["candidate_ids"]]

    @property
    def sample(self) -> Row:
        """The teacher's sample that the row teaches, graded. Raises ArtifactError where it is not there any more."""
        (sample,) = [s for s in self.samples if sample_id(s) == self.row["teacher_sample_id"]]
        return sample

    @cached_property
    def rollouts(self) -> list[Row]:
        """What the student wrote to the row's prompt while it was trained, by step; nothing before it is trained."""
        key = ArtifactKey("lora_checkpoints", self.student_name)
        if self.store.manifest(key) is None:
            return []
        files = self.store.local_tables(key).get("training_rollouts", [])
        rows = [row for file in files for row in _rows_of(file, self.row["row_id"])]
        return sorted(rows, key=lambda row: [*map(int, row["rollout_id"].split("/"))])

    def _group(self, n_correct: int) -> Iterator[str]:
        yield f"its group, {n_correct} of {len(self.candidates)} candidates correct:"
        for number, (candidate_id, found) in enumerate(self.candidates, start=1):
            yield f"  {number}. {candidate_id}: {_verdict(found) if found else f'not in {self.pool} any more'}"

    def _why_by_rewards(self) -> Iterator[str]:
        if self.refined:
            yield from self._group(self.row["n_correct"])
        written = self.rollouts
        yield (
            f"a prompt, and no text to imitate: {self.student_name} wrote {len(written):,} rollouts to it while it was "
            f"trained, {sum(row['reward'] > 0 for row in written):,} of them right"
        )

    def _why_taught(self, key: ArtifactKey) -> Iterator[str]:
        row, sample = self.row, self.sample
        if self.refined:
            yield from self._group(sample["n_correct"])
        yield (
            f"the teacher {self.teacher} wrote {row['teacher_sample_id']}: {_verdict(sample)} against the gold "
            f"{self.problem['answer']}, {ending(sample['finish_reason'])} after {sample['generated_tokens']} tokens"
        )
        good, of = sum(teaches(s) for s in self.samples), len(self.samples)
        what = "refinements of this group" if self.refined else "direct solutions of this problem"
        rule = _rule(self.student, good, of, self.refined)
        yield f"kept because it is right and ended by itself, as {good} of {of} {what}: {rule}"
        yield _mixture(self.student, self.store.summary(key, TrainingSetCounts))


def sample_id(sample: Row) -> str:
    """Return the id of a teacher's sample: of a refinement, or of a direct solution."""
    return sample.get("refinement_id") or sample["solution_id"]


def _rule(student: Student, good: int, samples: int, refined: bool) -> str:
    if refined and good == samples > student.keep_when_all_correct:
        return f"where all are, {student.keep_when_all_correct} are drawn by the seed"
    return "all of these are kept"


def _mixture(student: Student, counts: TrainingSetCounts) -> str:
    """Say how many of what was kept stand in the training set."""
    refinements = f"{counts.refinement_rows:,} of {counts.kept_refinements:,} kept refinements"
    solutions = f"{counts.direct_rows:,} of {counts.kept_solutions:,} kept solutions"
    mixture = {
        "hybrid": f"in the mixture of one to one, {refinements} and {solutions}",
        "refinement": f"in a set of refinements alone, {refinements}; the {counts.kept_solutions:,} kept solutions are left out",
        "direct": f"in a set of direct solutions alone, {solutions}; the {counts.kept_refinements:,} kept refinements are left out",
    }[student.rows]
    left_out = {
        "with the text of another": counts.left_out_identical,
        f"over {student.rows_a_problem} a problem": counts.left_out_of_a_problem,
        "of easy groups": counts.left_out_easy,
    }
    said = ", ".join(f"{count:,} {what}" for what, count in left_out.items() if count)
    return f"{mixture}; left out by choice {said}" if said else mixture


def problem_line(row: Row) -> str:
    """Return a problem with its gold."""
    return f"problem {row['problem_id']}, gold {row['answer']}: {row['problem']}"


def _verdict(row: Row) -> str:
    return row["verdict"] if row["answer"] is None else f"{row['verdict']}, answer {row['answer']}"


def _rows_of(file: Path, row_id: str) -> list[Row]:
    return pq.read_table(file, filters=[("row_id", "=", row_id)]).to_pylist()
