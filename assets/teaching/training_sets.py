"""Training sets, by rejection sampling: of the teacher's samples only those that are right and end by themselves teach."""

import dataclasses
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg

from assets import quality
from assets.grading import graded_rows, scored
from assets.materializing import ArtifactContents, asset_of, materialize
from assets.refusals import refuse_incomplete
from assets.teaching.fingerprints import TrainingSets
from assets.teaching.teaching_run import TeachingRun
from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.experiment.students import Student
from gsr_dagster.method.candidate_pool import by_problem, in_order
from gsr_dagster.method.mixture import mixed_rows
from gsr_dagster.method.rejection_sampling import keep_refinements, teaches
from gsr_dagster.method.rows import Row
from resources.grading.grader import GAVE_UP, Grader
from resources.store.artifacts import ArtifactStore
from resources.store.manifests import Recipe


@dataclass(frozen=True)
class TrainingSetCounts:
    """What a training set was chosen from; ``timed_out`` is None in sets that were made before it was counted."""

    teacher_refinements: int
    correct_refinements: int
    over_long_refinements: int
    kept_refinements: int
    kept_from_all_wrong_groups: int
    teacher_solutions: int
    correct_solutions: int
    kept_solutions: int
    refinement_rows: int
    direct_rows: int
    timed_out: int | None = None


def training_set_assets(experiment: Experiment, shared: dict[str, Any]) -> list[dg.AssetsDefinition]:
    """Return the asset of the training sets."""
    step = TrainingSets(experiment)

    @asset_of(step, kinds={"python"}, **shared)
    def training_sets(context: dg.AssetExecutionContext, store: ArtifactStore, grader: Grader) -> dg.MaterializeResult:
        """The training rows: correct refinements and correct direct solutions, one to one unless told otherwise."""
        run = TeachingRun(experiment, store, context.partition_key)
        recipe = step.recipe(store, run.name)
        return materialize(context, store, recipe, lambda: choose_rows(run, recipe, grader))

    return [training_sets]


def choose_rows(run: TeachingRun, recipe: Recipe, grader: Grader) -> ArtifactContents:
    """Grade the teacher's samples and choose the training rows. Raises ArtifactError where samples are missing."""
    refuse_incomplete(run.experiment, run.store, run.key("teacher_refinements"), run.key("teacher_solutions"))
    problems, student = run.problems(), run.student
    models = run.experiment.models
    refinements = run.read_wanted("teacher_refinements")
    solutions = run.read_wanted("teacher_solutions")
    graded = graded_rows(grader, f"{recipe.key}: refinements", problems, refinements, models[student.refiner])
    direct = graded_rows(grader, f"{recipe.key}: solutions", problems, solutions, models[student.solver])
    rows, counts = training_rows(student, run.experiment.seed, graded, direct)
    return ArtifactContents(rows, summary=dataclasses.asdict(counts))


def training_rows(
    student: Student, seed: int, refinements: Sequence[Row], solutions: Sequence[Row]
) -> tuple[list[Row], TrainingSetCounts]:
    """Return the training rows of the graded teacher samples, with what was kept and dropped.

    A row: ``row_id``, ``kind``, ``problem_id``, ``teacher_sample_id``, ``candidate_ids``
    (those shown, empty for a direct row), ``messages`` (the prompt) and ``completion``.
    """
    short = [row for row in refinements if quality.student_prompt_tokens(row) <= student.prompt_tokens]
    kept, from_all_wrong = list[Row](), 0
    for outputs in by_problem(short).values():  # one prompt each
        rng = random.Random(f"{seed}:{outputs[0]['prompt_id']}")
        chosen = keep_refinements([teaches(row) for row in outputs], student.keep_when_all_correct, rng)
        kept += [training_row("refinement", outputs[index], "refinement_id") for index in chosen]
        from_all_wrong += len(chosen) * (outputs[0]["n_correct"] == 0)
    direct = [training_row("direct", row, "solution_id") for row in in_order(scored(solutions)) if teaches(row)]
    rows = mixed_rows(kept, direct, student.rows, student.most_rows, seed)
    counts = TrainingSetCounts(
        teacher_refinements=len(refinements),
        correct_refinements=sum(row["correct"] for row in refinements),
        over_long_refinements=len(refinements) - len(short),
        kept_refinements=len(kept),
        kept_from_all_wrong_groups=from_all_wrong,
        teacher_solutions=len(solutions),
        correct_solutions=sum(row["correct"] for row in solutions),
        kept_solutions=len(direct),
        refinement_rows=sum(row["kind"] == "refinement" for row in rows),
        direct_rows=sum(row["kind"] == "direct" for row in rows),
        timed_out=sum(row["verdict"] in GAVE_UP for row in (*refinements, *solutions)),
    )
    return rows, counts


def training_row(kind: str, sample: Row, id_column: str) -> Row:
    return {
        "row_id": f"{kind}/{sample[id_column]}",
        "kind": kind,
        "problem_id": sample["problem_id"],
        "teacher_sample_id": sample[id_column],
        "candidate_ids": sample.get("candidate_ids", []),
        "messages": sample["messages"],
        "completion": sample["text"],
    }
