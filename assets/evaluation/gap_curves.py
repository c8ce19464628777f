"""Gap against k: the same pool in groups of further sizes, each with its own refinements."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import dagster as dg

from assets.evaluation.evaluation_run import EvaluationRun
from assets.evaluation.fingerprints import CurveRefinements, GapCurves
from assets.evaluation.gap_reports import score_groups
from assets.evaluation.refinements import refinement_prompts
from assets.grading import graded_rows, scored
from assets.materializing import ArtifactContents, asset_of, materialize
from assets.sampling import draw_samples
from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.experiment.keys import EvaluationKey, LaneName
from gsr_dagster.method.rows import Row
from gsr_dagster.method.scoring.gap_summary import group_intervals, prompt_tokens_per_group
from gsr_dagster.method.scoring.scores import GroupScore
from resources.engines.loading import Engines
from resources.engines.sample_log import Prompt
from resources.grading.grader import Grader
from resources.store.artifacts import ArtifactStore
from resources.store.manifests import Recipe


def curve_assets(experiment: Experiment, lane: LaneName, shared: dict[str, Any]) -> list[dg.AssetsDefinition]:
    """Return a lane's assets of further group sizes (``ks``); none where the experiment names none."""
    if not experiment.further_ks:
        return []
    refining, scoring = CurveRefinements(experiment, lane), GapCurves(experiment, lane)

    @asset_of(refining, kinds={"transformers"}, pool=experiment.pool, **shared)
    def curve_refinements(
        context: dg.AssetExecutionContext, store: dg.ResourceParam[ArtifactStore], engines: Engines
    ) -> dg.MaterializeResult:
        """One refinement of every group of each further size; a pool is grouped anew for each."""
        run = EvaluationRun(experiment, store, EvaluationKey.parse(lane, context.partition_key))
        recipe = refining.recipe(store, context.partition_key)
        return materialize(context, store, recipe, lambda: refine_further_groups(run, recipe, engines))

    @asset_of(scoring, kinds={"python"}, **shared)
    def gap_curves(
        context: dg.AssetExecutionContext, store: dg.ResourceParam[ArtifactStore], grader: Grader
    ) -> dg.MaterializeResult:
        """Voting against refining at every further group size, a row each."""
        run = EvaluationRun(experiment, store, EvaluationKey.parse(lane, context.partition_key))
        recipe = scoring.recipe(store, context.partition_key)
        return materialize(context, store, recipe, lambda: score_further_groups(run, recipe, grader))

    return [curve_refinements, gap_curves]


def refine_further_groups(run: EvaluationRun, recipe: Recipe, engines: Engines) -> ArtifactContents:
    """Draw a refinement of each group of each further size."""
    problems, candidates, load = run.problems(), run.read("graded_candidates"), run.engine(engines)
    prompts: list[Prompt] = []
    counted: dict[str, int] = {}
    for k in run.experiment.further_ks:
        of_k, cut, left = refinement_prompts(run, problems, candidates, load(), k)
        prompts += of_k
        counted[f"shortened_candidates_at_{k}"] = cut
        if left:
            counted[f"groups_not_refined_at_{k}"] = left
    return draw_samples(run.store, recipe, prompts, "refinement_id", run.rollout("refinement"), load, **counted)


def score_further_groups(run: EvaluationRun, recipe: Recipe, grader: Grader) -> ArtifactContents:
    """Score the groups of each further size that has any: recorded samples have none."""
    problems, candidates, sizes = run.problems(), run.read("graded_candidates"), run.experiment.further_ks
    # Sizes that the file named before stay in the store.
    refinements = [row for row in run.read("curve_refinements") if len(row["candidate_ids"]) in sizes]
    refined = graded_rows(grader, str(recipe.key), problems, refinements, run.model)
    scores = {k: score_groups(run.pool(scored(candidates), k), refined)[0] for k in sizes}
    return ArtifactContents([curve_row(k, groups, run.experiment.seed) for k, groups in scores.items() if groups])


def curve_row(k: int, groups: Sequence[GroupScore], seed: int) -> Row:
    """Return the scores of the groups of one size: fractions with their intervals over problems, mean tokens."""
    return {
        "k": k,
        "groups": len(groups),
        "problems": len({group.problem_id for group in groups}),
        **{name: dataclasses.asdict(interval) for name, interval in group_intervals(groups, seed).items()},
        "tokens_per_refined_group": sum(g.candidate_tokens + g.refinement_tokens for g in groups) / len(groups),
        "prompt_tokens_per_refined_group": prompt_tokens_per_group(groups),
    }
