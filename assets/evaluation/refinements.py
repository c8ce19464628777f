"""Self-refinements: one new answer to every group of k candidates, by the model that sampled them."""

from collections.abc import Sequence
from typing import Any

import dagster as dg

from assets.evaluation.evaluation_run import EvaluationRun
from assets.evaluation.fingerprints import SelfRefinements
from assets.materializing import ArtifactContents, asset_of, materialize
from assets.sampling import draw_samples, refinement_chat
from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.experiment.keys import EvaluationKey, LaneName
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
        context: dg.AssetExecutionContext, store: ArtifactStore, engines: Engines
    ) -> dg.MaterializeResult:
        """One refinement of every group of k candidates, by the model that sampled them."""
        run = EvaluationRun(experiment, store, EvaluationKey.parse(lane, context.partition_key))
        recipe = step.recipe(store, context.partition_key)
        return materialize(context, store, recipe, lambda: refine_groups(run, recipe, engines))

    return [self_refinements]


def refine_groups(run: EvaluationRun, recipe: Recipe, engines: Engines) -> ArtifactContents:
    """Draw a refinement of each of the pool's groups."""
    load = run.engine(engines)
    prompts, shortened = refinement_prompts(run, run.problems(), run.read("graded_candidates"), load())
    rollout = run.rollout("refinement")
    return draw_samples(run.store, recipe, prompts, "refinement_id", rollout, load, shortened_candidates=shortened)


def refinement_prompts(
    run: EvaluationRun, problems: Sequence[Row], graded: Sequence[Row], engine: Engine, k: int | None = None
) -> tuple[list[Prompt], int]:
    """Return a prompt for every group, and how many candidates were shortened to the token budget."""
    texts = {row["problem_id"]: row["problem"] for row in problems}
    prompts, shortened = [], 0
    for group, members in run.pool(graded, k).groups:
        messages, cut = refinement_chat(run.experiment, engine, texts[group.problem_id], members)
        shortened += cut
        columns = {"problem_id": group.problem_id, "candidate_ids": [row["candidate_id"] for row in members]}
        prompts.append(Prompt(group.id, messages, 1, columns))
    return prompts, shortened
