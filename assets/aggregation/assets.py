"""Other aggregations of the same groups: an asset of samples or scores for each that the experiment names, and a table.

aggregations:
  genselect: {kind: generative_selection}
  skywork: {kind: reward_model, source: "hf:ORG/NAME@REVISION"}
"""

from typing import Any

import dagster as dg

from assets.aggregation.aggregation_run import AggregationRun
from assets.aggregation.fingerprints import Aggregations, NamedAggregation
from assets.aggregation.table import PoolAndGaps, aggregated_rows, score_table, summarise_aggregations
from assets.evaluation.assets import lane_options
from assets.evaluation.evaluation_run import EvaluationRun
from assets.materializing import ArtifactContents, asset_of, materialize
from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.experiment.keys import EvaluationKey, LaneName
from resources.engines.loading import Engines
from resources.grading.grader import Grader
from resources.store.artifacts import ArtifactStore


def aggregation_assets(experiment: Experiment, lane: LaneName, round_number: int = 1) -> list[dg.AssetsDefinition]:
    """Return a lane's assets of the aggregations that the experiment names; none where it names none."""
    if not experiment.aggregations:
        return []
    shared = lane_options(experiment, lane, round_number)
    table = Aggregations(experiment, lane)

    @asset_of(table, kinds={"python"}, **shared)
    def aggregations(
        context: dg.AssetExecutionContext, store: dg.ResourceParam[ArtifactStore], grader: Grader
    ) -> dg.MaterializeResult:
        """Every aggregation of the same groups beside the vote: score, cost, and the difference with its interval."""
        run = EvaluationRun(experiment, store, EvaluationKey.parse(lane, context.partition_key))
        recipe = table.recipe(store, context.partition_key)
        return materialize(context, store, recipe, lambda: tabulate(run, grader))

    return [*(named_asset(step, shared) for step in table.named.values()), aggregations]


def named_asset(step: NamedAggregation, shared: dict[str, Any]) -> dg.AssetsDefinition:
    """Return the asset of one named aggregation: the answers that a model gave to the groups, or scores."""
    experiment, aggregation = step.experiment, step.aggregation

    @asset_of(step, description=type(aggregation).__doc__, kinds={"transformers"}, pool=experiment.pool, **shared)
    def aggregated(
        context: dg.AssetExecutionContext, store: dg.ResourceParam[ArtifactStore], engines: Engines
    ) -> dg.MaterializeResult:
        run = EvaluationRun(experiment, store, EvaluationKey.parse(step.lane, context.partition_key))
        recipe = step.recipe(store, context.partition_key)
        return materialize(context, store, recipe, lambda: AggregationRun(run, recipe, aggregation, engines).make())

    return aggregated


def groups_of_base(run: EvaluationRun) -> PoolAndGaps | None:
    """Return a student's base's pool and gap rows where an aggregation answers its groups."""
    if not any(aggregation.of_base for aggregation in run.experiment.aggregations_of(run.key.lane).values()):
        return None
    base = run.of_base()
    return base.scored_pool(), base.read("gap_reports")


def tabulate(run: EvaluationRun, grader: Grader) -> ArtifactContents:
    """Return a row of every aggregation and group, with their summary."""
    experiment, gaps = run.experiment, run.read("gap_reports")
    named = {name: run.read(f"aggregation/{name}") for name in experiment.aggregations_of(run.key.lane)}
    rows = aggregated_rows(
        experiment, run.scored_pool(), run.model, grader, run.problems(), gaps, named, groups_of_base(run)
    )
    summary = summarise_aggregations(experiment, rows)
    return ArtifactContents(rows, summary=summary.document(), metadata={"scores": score_table(summary.aggregations)})
