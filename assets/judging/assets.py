"""A judge of answers: an asset of what it wrote, and one of its verdicts beside the grader's.

judge: {model: qwen2.5-72b}
"""

from typing import Any

import dagster as dg

from assets.evaluation.assets import lane_options
from assets.evaluation.evaluation_run import EvaluationRun
from assets.judging.fingerprints import JudgeSamples, JudgeVerdicts
from assets.judging.verdicts import ask_judge, read_judge
from assets.materializing import asset_of, materialize
from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.experiment.keys import EvaluationKey, LaneName
from gsr_dagster.experiment.settings import Judge
from resources.engines.loading import Engines
from resources.grading.grader import Grader
from resources.store.artifacts import ArtifactStore


def judging_assets(experiment: Experiment, lane: LaneName, round_number: int = 1) -> list[dg.AssetsDefinition]:
    """Return a lane's assets of the judge; none where the experiment names none."""
    if experiment.judge is None:
        return []
    return _assets(experiment, lane, experiment.judge, lane_options(experiment, lane, round_number))


def _assets(experiment: Experiment, lane: LaneName, judge: Judge, shared: dict[str, Any]) -> list[dg.AssetsDefinition]:
    asking, reading = JudgeSamples(experiment, lane, judge), JudgeVerdicts(experiment, lane, judge)

    @asset_of(asking, kinds={"transformers"}, pool=experiment.pool, **shared)
    def judge_samples(
        context: dg.AssetExecutionContext, store: dg.ResourceParam[ArtifactStore], engines: Engines
    ) -> dg.MaterializeResult:
        """What the judge wrote about every distinct answer of the candidates and refinements."""
        run = EvaluationRun(experiment, store, EvaluationKey.parse(lane, context.partition_key))
        recipe = asking.recipe(store, context.partition_key)
        return materialize(context, store, recipe, lambda: ask_judge(run, recipe, judge, engines))

    @asset_of(reading, kinds={"python"}, **shared)
    def judge_verdicts(
        context: dg.AssetExecutionContext, store: dg.ResourceParam[ArtifactStore], grader: Grader
    ) -> dg.MaterializeResult:
        """The judge's verdicts beside the grader's, how far they agree, and the gap by who decides."""
        run = EvaluationRun(experiment, store, EvaluationKey.parse(lane, context.partition_key))
        recipe = reading.recipe(store, context.partition_key)
        return materialize(context, store, recipe, lambda: read_judge(run, recipe, judge, grader))

    return [judge_samples, judge_verdicts]
