"""Students beside their bases: what each comparison shows, paired over problems."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial

from assets.grading import scored
from assets.teaching.chosen_rows import TrainingSetCounts
from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.experiment.keys import ArtifactKey
from gsr_dagster.experiment.students import Student
from gsr_dagster.experiment.training.fine_tuning import NOT_LEARNED
from gsr_dagster.method.rows import Row
from gsr_dagster.method.scoring.intervals import paired_difference
from gsr_dagster.method.scoring.scores import pass_at_k
from resources.reporting.report_rows import SIDE_BY_SIDE, Change, ReportedStudent, StudentFacts
from resources.store.artifacts import ArtifactStore

Of = Callable[[Sequence[Row], int], Sequence[float]]


def _each(value: Callable[[Row], float]) -> Of:
    """Return a score that every row of a problem has."""
    return lambda rows, k: [value(row) for row in rows]


def _pass_at_k(rows: Sequence[Row], k: int) -> Sequence[float]:
    return [float(pass_at_k(len(rows), sum(row["correct"] for row in rows))[min(k, len(rows)) - 1])]


def _distinct_answers(rows: Sequence[Row], k: int) -> Sequence[float]:
    return [float(len({row["answer_class"] for row in rows} - {None}))]


# The scores compared: the asset that holds them, and how to read them from the rows of a problem there.
COMPARED: dict[str, tuple[str, Of]] = {
    "pass_at_1": ("graded_candidates", _each(lambda row: float(row["correct"]))),
    "maj_at_k": ("gap_reports", _each(lambda row: row["vote"])),
    "self_ref_at_k": ("gap_reports", _each(lambda row: float(row["refined"]))),
    "refinement_gap": ("gap_reports", _each(lambda row: row["refined"] - row["vote"])),
    "pass_at_k": ("graded_candidates", _pass_at_k),
    "distinct_answers": ("graded_candidates", _distinct_answers),
}


def compared_students(experiment: Experiment, store: ArtifactStore) -> list[ReportedStudent]:
    """Return every benchmark and student, with each score of base and student; then the students side by side.

    Scores are fractions, means over problems; differences are paired over the problems of both.
    """
    pairs = [(name, student.base, relation(experiment, student)) for name, student in experiment.students.items()]
    pairs += [(later, earlier, SIDE_BY_SIDE) for later, earlier in side_by_side(experiment)]
    rows = []
    for benchmark in experiment.benchmarks:
        read = cache(partial(rows_by_problem, store))  # a subject's rows are read once a benchmark
        rows += [compared(experiment, read, benchmark, *pair) for pair in pairs]
    return rows


def side_by_side(experiment: Experiment) -> list[tuple[str, str]]:
    """Return the pairs of students of one model of which one learned from rewards, and neither is the other's base."""
    students = experiment.students
    return [
        (later, earlier)
        for place, later in enumerate(students)
        for earlier in list(students)[:place]
        if experiment.root(later) == experiment.root(earlier)
        and (students[later].by_rewards or students[earlier].by_rewards)
        and students[later].base != earlier
        and students[earlier].base != later
    ]


def compared(
    experiment: Experiment,
    read: Callable[[ArtifactKey], dict[str, list[Row]]],
    benchmark: str,
    student: str,
    other: str,
    how: str,
) -> ReportedStudent:
    """Return the scores of a student beside those of its base, or of another one, on a benchmark."""
    after_key, before_key = (experiment.evaluation_of(benchmark, subject) for subject in (student, other))
    changes, problems = {}, 0
    for score, (asset, value) in COMPARED.items():
        after, before = (
            {name: value(rows, experiment.k) for name, rows in read(key.artifact(asset)).items()}
            for key in (after_key, before_key)
        )
        difference = paired_difference(after, before, experiment.seed)
        changes[score] = Change(**vars(difference), base=_mean(before), student=_mean(after))
        problems = len(before)
    return ReportedStudent(
        benchmark=benchmark,
        out_of_distribution=experiment.benchmarks[benchmark].out_of_distribution,
        student=student,
        base=other,
        relation=how,
        problems=problems,
        **changes,
    )


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


def rows_by_problem(store: ArtifactStore, key: ArtifactKey) -> dict[str, list[Row]]:
    """Return the rows of each problem of an artifact that can be scored."""
    rows, by_problem = store.read(key), dict[str, list[Row]]()
    for row in scored(rows) if key.name == "graded_candidates" else rows:
        by_problem.setdefault(row["problem_id"], []).append(row)
    return by_problem


def _mean(values: Mapping[str, Sequence[float]]) -> float:
    return sum(sum(of_problem) / len(of_problem) for of_problem in values.values()) / len(values)
