"""Students beside their bases: what each comparison shows, paired over problems. Plain functions on rows."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

from assets.scoring import scored
from gsr_dagster.experiment import NOT_LEARNED, Experiment, Student
from gsr_dagster.method.intervals import paired_difference
from resources.artifacts import ArtifactStore
from resources.manifests import ArtifactKey
from resources.rows import Row

# The scores compared: the asset that holds them for each problem, and how to read them there.
COMPARED: dict[str, tuple[str, Callable[[Row], float]]] = {
    "pass_at_1": ("graded_candidates", lambda row: float(row["correct"])),
    "maj_at_k": ("gap_reports", lambda row: row["vote"]),
    "self_ref_at_k": ("gap_reports", lambda row: float(row["refined"])),
    "refinement_gap": ("gap_reports", lambda row: row["refined"] - row["vote"]),
}


def comparison_rows(experiment: Experiment, store: ArtifactStore) -> list[Row]:
    """Return a row for every benchmark and student: what it is, and each score of base and student.

    A score holds ``base``, ``student`` and their difference with its interval
    (``estimate``, ``low``, ``high``, ``standard_error``), as fractions: means over
    problems, paired over those of both.
    """
    rows = []
    for benchmark, settings in experiment.benchmarks.items():
        for name, student in experiment.students.items():
            row = {
                "benchmark": benchmark,
                "out_of_distribution": settings.out_of_distribution,
                "student": name,
                "base": student.base,
                "relation": relation(experiment, student),
            }
            for score, (asset, value) in COMPARED.items():
                after = _per_problem(store, ArtifactKey(f"student/{asset}", f"{benchmark}|{name}"), value)
                before = _per_problem(store, ArtifactKey(f"base/{asset}", f"{benchmark}|{student.base}"), value)
                difference = paired_difference(after, before, experiment.seed)
                row[score] = {
                    "base": _mean(before),
                    "student": _mean(after),
                    **dataclasses.asdict(difference),
                }
                row["problems"] = len(before)
            rows.append(row)
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


def student_facts(experiment: Experiment, store: ArtifactStore) -> list[Row]:
    """Return for every student its roles, its training set's counts and its training curve."""
    facts = []
    for name, student in experiment.students.items():
        rows = store.existing(ArtifactKey("training_sets", name))
        facts.append(
            {
                "student": name,
                "base": student.base,
                "teacher": student.teacher,
                "sampler": student.sampler,
                "relation": relation(experiment, student),
                "mixture": student.rows,
                "rows": rows.rows,
                **rows.summary,
                "history": store.read(ArtifactKey("lora_checkpoints", name)),
            }
        )
    return facts


def _per_problem(store: ArtifactStore, key: ArtifactKey, value: Callable[[Row], float]) -> dict[str, list[float]]:
    rows = store.read(key)
    values: dict[str, list[float]] = {}
    for row in scored(rows) if key.asset.endswith("graded_candidates") else rows:
        values.setdefault(row["problem_id"], []).append(value(row))
    return values


def _mean(values: Mapping[str, Sequence[float]]) -> float:
    return sum(sum(of_problem) / len(of_problem) for of_problem in values.values()) / len(values)
