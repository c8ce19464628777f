"""Self-refinements: one new answer to every group of k candidates, by the model that sampled them."""

from collections.abc import Sequence
from typing import Any

import dagster as dg

from assets.evaluation.evaluation_run import EvaluationRun
from assets.evaluation.fingerprints import SelfRefinements
from assets.materializing import ArtifactContents, asset_of, materialize
from assets.sampling import candidates_chat, draw_samples
from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.experiment.keys import EvaluationKey, LaneName
from gsr_dagster.method.prompting.prompts import refinement_turns
from gsr_dagster.method.rows import Row
from resources.engines.base import Engine
from resources.engines.loading import Engines
from resources.engines.sample_log import Prompt
from resources.store.artifacts import ArtifactStore
from resources.store.manifests import Recipe


def refinement_assets(experiment: Experiment, lane: LaneName, shared: dict[str, Any]) -> list[dg.AssetsDefinition]:
    """Return a lane's self-refinements."""
    step = SelfRefinements(experiment, lane)

    @asset_of(step, kinds={"transformers"}, pool=experiment.pool, **shared)
    def self_refinements(
        context: dg.AssetExecutionContext, store: dg.ResourceParam[ArtifactStore], engines: Engines
    ) -> dg.MaterializeResult:
        """One refinement of every group of k candidates, by the model that sampled them."""
        run = EvaluationRun(experiment, store, EvaluationKey.parse(lane, context.partition_key))
        recipe = step.recipe(store, context.partition_key)
        return materialize(context, store, recipe, lambda: refine_groups(run, recipe, engines))

    return [self_refinements]


def refine_groups(run: EvaluationRun, recipe: Recipe, engines: Engines) -> ArtifactContents:
    """Draw a refinement of each of the pool's groups; of recorded samples, of the groups that have one."""
    load = run.engine(engines)
    prompts, shortened, left = refinement_prompts(run, run.problems(), run.read("graded_candidates"), load())
    counted = {"shortened_candidates": shortened, **({"groups_not_refined": left} if left else {})}
    return draw_samples(run.store, recipe, prompts, "refinement_id", run.rollout("refinement"), load, **counted)


def refinement_prompts(
    run: EvaluationRun, problems: Sequence[Row], graded: Sequence[Row], engine: Engine, k: int | None = None
) -> tuple[list[Prompt], int, int]:
    """Return a prompt for every group that can be refined, how many candidates were shortened, and the groups left out.

    Candidates are shortened to the token budget, and to the context. Left out are groups of recorded samples that nobody refined.
    """
    texts = {row["problem_id"]: row["problem"] for row in problems}
    pool, there, rollout = run.pool(graded, k), run.available, run.rollout("refinement")
    before = refinement_turns(run.benchmark.refinements(run.key.is_student), run.experiment.prompts.ask_refinement)
    prompts, shortened, left = [], 0, 0
    for own in pool.own_groups():
        if not there.is_refined(own.id, further_k=k is not None):
            left += 1
            continue
        group, members = pool.shown(own)
        summaries = [row["summary"] for row in members]
        messages, cut = candidates_chat(
            run.experiment, engine, rollout, texts[group.problem_id], summaries, before=before
        )
        shortened += cut
        columns = {"problem_id": group.problem_id, "candidate_ids": [row["candidate_id"] for row in members]}
        prompts.append(Prompt(group.id, messages, 1, columns))
    return prompts, shortened, left
