"""Students beside their bases: what each comparison shows, paired over problems."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

from assets.grading import per_problem, scored
from assets.teaching.chosen_rows import TrainingSetCounts
from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.experiment.keys import ArtifactKey
from gsr_dagster.experiment.students import Student
from gsr_dagster.experiment.training.fine_tuning import NOT_LEARNED
from gsr_dagster.method.rows import Row
from gsr_dagster.method.scoring.intervals import paired_difference
from resources.reporting.report_rows import Change, ReportedStudent, StudentFacts
from resources.store.artifacts import ArtifactStore

# The scores compared: the asset that holds them for each problem, and how to read them there.
COMPARED: dict[str, tuple[str, Callable[[Row], float]]] = {
    "pass_at_1": ("graded_candidates", lambda row: float(row["correct"])),
    "maj_at_k": ("gap_reports", lambda row: row["vote"]),
    "self_ref_at_k": ("gap_reports", lambda row: float(row["refined"])),
    "refinement_gap": ("gap_reports", lambda row: row["refined"] - row["vote"]),
}


def compared_students(experiment: Experiment, store: ArtifactStore) -> list[ReportedStudent]:
    """Return every benchmark and student: what it is, and each score of base and student.

    Scores are fractions, means over problems; differences are paired over the problems of both.
    """
    rows = []
    for evaluation in experiment.evaluations("student"):
        student = experiment.students[evaluation.subject]
        base = experiment.evaluation_of(evaluation.benchmark, student.base)
        changes, problems = {}, 0
        for score, (asset, value) in COMPARED.items():
            after, before = (values_by_problem(store, key.artifact(asset), value) for key in (evaluation, base))
            difference = paired_difference(after, before, experiment.seed)
            changes[score] = Change(**vars(difference), base=_mean(before), student=_mean(after))
            problems = len(before)
        rows.append(
            ReportedStudent(
                benchmark=evaluation.benchmark,
                out_of_distribution=experiment.benchmarks[evaluation.benchmark].out_of_distribution,
                student=evaluation.subject,
                base=student.base,
                relation=relation(experiment, student),
                problems=problems,
                **changes,
            )
        )
    return rows


def relation(experiment: Experiment, student: Student) -> str:
    """Return how a student relates to the model whose candidates it learned from."""
    if student.sampler == student.base:
        return "own candidates"
    if experiment.family(student.sampler) == experiment.family(student.base):
        return "transfer across scales"
    return "transfer across families"


def ablations(experiment: Experiment) -> list[list[str]]:
    """Return the sets of students that differ in their mixture of rows and in nothing else."""
    alike: dict[str, list[str]] = {}
    for name, student in experiment.students.items():
        alike.setdefault(student.model_dump_json(exclude={"rows": True, "training": set(NOT_LEARNED)}), []).append(name)
    return [names for names in alike.values() if len({experiment.students[name].rows for name in names}) > 1]


def student_facts(experiment: Experiment, store: ArtifactStore) -> list[StudentFacts]:
    """Return for every student its roles, its training set's counts and its training curve."""
    wanted = {field.name for field in dataclasses.fields(StudentFacts)}
    facts = []
    for name, student in experiment.students.items():
        training_set = ArtifactKey("training_sets", name)
        counts = vars(store.summary(training_set, TrainingSetCounts))
        facts.append(
            StudentFacts(
                student=name,
                base=student.base,
                teacher=student.teachers_in_words,
                sampler=student.sampler,
                relation=relation(experiment, student),
                mixture=student.rows,
                rows=store.existing(training_set).rows,
                **{field: count for field, count in counts.items() if field in wanted},
                history=store.read(ArtifactKey("lora_checkpoints", name)),
            )
        )
    return facts


def values_by_problem(store: ArtifactStore, key: ArtifactKey, value: Callable[[Row], float]) -> dict[str, list[float]]:
    """Return a value of each row of an artifact, of the problems that can be scored."""
    rows = store.read(key)
    return per_problem(scored(rows) if key.name == "graded_candidates" else rows, value)


def _mean(values: Mapping[str, Sequence[float]]) -> float:
    return sum(sum(of_problem) / len(of_problem) for of_problem in values.values()) / len(values)
