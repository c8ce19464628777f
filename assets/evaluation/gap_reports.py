"""Gap reports: voting against refining on the same groups."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import dagster as dg

from assets.evaluation.evaluation_run import EvaluationRun
from assets.evaluation.fingerprints import GapReports
from assets.evaluation.tracked_gaps import tracked_gap
from assets.grading import graded_rows, references, scorable, scored, unscored_problems
from assets.materializing import ArtifactContents, asset_of, materialize
from assets.problems.contamination_gate import overlapping_problems
from assets.refusals import refuse_incomplete
from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.experiment.keys import EvaluationKey, LaneName
from gsr_dagster.method.candidate_pool import CandidatePool
from gsr_dagster.method.rejection_sampling import cut_off
from gsr_dagster.method.rows import Row
from gsr_dagster.method.scoring.agreement import compare_labels
from gsr_dagster.method.scoring.diagnostics import Refinement, refiner_diagnostics
from gsr_dagster.method.scoring.gap_summary import gap_summary, graded
from gsr_dagster.method.scoring.intervals import Interval
from gsr_dagster.method.scoring.scores import GOLD_CLASS, GroupScore, score_group
from resources.engines.base import UNASKED
from resources.grading.grader import Grader
from resources.reporting.figures.gap_plots import by_correct_plot
from resources.store.artifacts import ArtifactStore
from resources.store.manifests import Recipe
from resources.tracking.tracker import Tracker


def gap_report_assets(experiment: Experiment, lane: LaneName, shared: dict[str, Any]) -> list[dg.AssetsDefinition]:
    """Return a lane's gap reports."""
    step = GapReports(experiment, lane)

    @asset_of(step, kinds={"python"}, **shared)
    def gap_reports(
        context: dg.AssetExecutionContext,
        store: dg.ResourceParam[ArtifactStore],
        grader: Grader,
        tracker: dg.ResourceParam[Tracker],
    ) -> dg.MaterializeResult:
        """Voting against refining on the same groups: the Refinement Gap, with its interval."""
        run = EvaluationRun(experiment, store, EvaluationKey.parse(lane, context.partition_key))
        recipe = step.recipe(store, context.partition_key)
        return materialize(context, store, recipe, lambda: report_gap(run, recipe, grader), tracker)

    return [gap_reports]


def report_gap(run: EvaluationRun, recipe: Recipe, grader: Grader) -> ArtifactContents:
    """Score a pool and its refined groups. Of recorded samples nobody refined, that is the pool alone.

    Raises ArtifactError where refinements are missing, or no gold can be read.
    """
    refuse_incomplete(run.experiment, run.store, run.key.artifact("self_refinements"))
    problems, candidates = run.problems(), run.read("graded_candidates")
    refined = graded_rows(grader, str(recipe.key), problems, run.read("self_refinements"), run.model)
    pool = run.pool(scorable(candidates))
    groups, rows = score_groups(pool, refined)
    overlapping = overlapping_problems(run.store, run.key.benchmark) if run.key.is_student else set()
    scores = gap_summary(pool, groups, len(unscored_problems(candidates)), overlapping)
    # It is drawn while the rest is counted.
    drawing = by_correct_plot({f"{run.key.benchmark}, {run.subject}": scores.by_correct}) if scores.refined else None
    diagnostics = gap_diagnostics(pool, grader, problems, candidates, refined)
    labels = compare_labels(scored([*candidates, *refined]), run.experiment.seed)
    summary = dataclasses.replace(scores, diagnostics=diagnostics, labels=labels)
    shown = {"by_correct": dg.MetadataValue.md(drawing.markdown)} if drawing else {}
    return ArtifactContents(rows, summary=summary.document(), metadata=shown, tracked=tracked_gap(run, summary))


def score_groups(pool: CandidatePool, refined: Sequence[Row]) -> tuple[list[GroupScore], list[Row]]:
    """Return the scores of every group of the pool that was refined, and the rows of the gap report."""
    refinements = {row["prompt_id"]: row for row in refined}
    candidates = {problem: list(map(graded, rows)) for problem, rows in pool.by_problem.items()}
    groups, rows = [], []
    for group in pool.own_groups():
        group_id = pool.shown(group)[0].id
        refinement = refinements.get(group_id)
        if refinement is None:
            continue
        score = score_group(group, candidates[group.problem_id], graded(refinement))
        groups.append(score)
        named = {name: refinement[name] for name in ("refinement_id", "candidate_ids", "answer", "verdict")}
        rows.append({**vars(score), "group_id": group_id, **named})
    return groups, rows


def gap_diagnostics(
    pool: CandidatePool,
    grader: Grader,
    problems: Sequence[Row],
    candidates: Sequence[Row],
    refined: Sequence[Row],
) -> dict[str, Interval | None]:
    """Return what the refiner does with the candidates it is shown: rates 0..1 with intervals, None where none can tell."""
    # One call, so that the answers of both are numbered together; the grader knows them all by now, or soon.
    answers = [(row["problem_id"], row["answer"]) for row in (*candidates, *refined)]
    grades = grader.grade(f"diagnostics {pool.subject}", references(problems), answers)
    classes = iter([grade.answer_class for grade in grades])
    of_candidate = {row["candidate_id"]: next(classes) for row in candidates}
    of_refinement = {row["prompt_id"]: next(classes) for row in refined}
    refinements = {row["prompt_id"]: row for row in refined}
    beside = [
        Refinement(
            problem_id=group.problem_id,
            summary=refinements[group.id]["summary"],
            answer_class=of_refinement[group.id],
            shown=tuple(row["summary"] for row in members),
            shown_classes=tuple(of_candidate[row["candidate_id"]] for row in members),
            correct_class=GOLD_CLASS,
            truncated=cut_off(refinements[group.id]["finish_reason"]),
        )
        for group, members in pool.groups
        # To one that was not asked nothing was shown.
        if group.id in refinements and refinements[group.id]["finish_reason"] != UNASKED
    ]
    return refiner_diagnostics(beside, pool.seed)
