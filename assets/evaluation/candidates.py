"""Candidate pools, and the grades of their candidates."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import dagster as dg

from assets.evaluation.evaluation_run import EvaluationRun
from assets.evaluation.fingerprints import CandidatePools, GradedCandidates
from assets.grading import graded_rows
from assets.materializing import ArtifactContents, asset_of, materialize
from assets.refusals import refuse_broken_chain, refuse_incomplete
from assets.sampling import draw_samples
from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.experiment.keys import EvaluationKey, LaneName
from gsr_dagster.method.candidate_pool import in_order
from gsr_dagster.method.rows import Row
from resources.engines.loading import Engines
from resources.engines.sample_log import Prompt
from resources.grading.grader import Grader
from resources.store.artifacts import ArtifactStore
from resources.store.manifests import Recipe
from resources.store.ordering import whole_problems

# What grading holds in memory of a pool.
CANDIDATES_AT_ONCE = 2048


def candidate_assets(experiment: Experiment, lane: LaneName, shared: dict[str, Any]) -> list[dg.AssetsDefinition]:
    """Return a lane's pools and graded candidates."""
    drawing, grading = CandidatePools(experiment, lane), GradedCandidates(experiment, lane)

    @asset_of(drawing, kinds={"transformers"}, pool=experiment.pool, **shared)
    def candidate_pools(
        context: dg.AssetExecutionContext, store: dg.ResourceParam[ArtifactStore], engines: Engines
    ) -> dg.MaterializeResult:
        """N direct samples of every problem of a benchmark: the candidates."""
        run = EvaluationRun(experiment, store, EvaluationKey.parse(lane, context.partition_key))
        recipe = drawing.recipe(store, context.partition_key)
        return materialize(context, store, recipe, lambda: draw_candidates(run, recipe, engines))

    @asset_of(grading, kinds={"python"}, **shared)
    def graded_candidates(
        context: dg.AssetExecutionContext, store: dg.ResourceParam[ArtifactStore], grader: Grader
    ) -> dg.MaterializeResult:
        """Every candidate's answer, whether it is right, and which answers are equal."""
        run = EvaluationRun(experiment, store, EvaluationKey.parse(lane, context.partition_key))
        recipe = grading.recipe(store, context.partition_key)
        return materialize(context, store, recipe, lambda: grade_candidates(run, recipe, grader))

    return [candidate_pools, graded_candidates]


def draw_candidates(run: EvaluationRun, recipe: Recipe, engines: Engines) -> ArtifactContents:
    """Draw a pool. Of recorded samples a problem may have fewer than are wanted: it keeps those that it has.

    Raises ArtifactError for a student whose chain is broken.
    """
    if run.key.is_student:
        refuse_broken_chain(run.store, run.subject)
    benchmark = run.benchmark
    there = run.available
    prompts = [
        Prompt(
            f"{run.subject}/{row['problem_id']}",
            run.direct_chat(row),
            there.candidates(row["problem_id"]),
            {"problem_id": row["problem_id"]},
        )
        for row in run.problems()
    ]
    fewer = sum(prompt.samples < benchmark.samples for prompt in prompts)
    counted = {"problems_with_fewer_samples": fewer} if fewer else {}
    rollout = run.rollout("direct")
    return draw_samples(run.store, recipe, prompts, "candidate_id", rollout, run.engine(engines), **counted)


def grade_candidates(run: EvaluationRun, recipe: Recipe, grader: Grader) -> ArtifactContents:
    """Grade a pool, some problems at a time. The texts stay in the pool. Raises ArtifactError where samples are missing."""
    refuse_incomplete(run.experiment, run.store, run.key.artifact("candidate_pools"))
    problems = run.problems()
    shards, verdicts = [], Counter()
    for candidates in wanted_candidates(run):
        rows = graded_rows(grader, str(recipe.key), problems, candidates, run.model)
        verdicts.update(row["verdict"] for row in rows)
        for row in rows:
            del row["text"]
        shards.append(run.store.put_shard(recipe, rows))
    return ArtifactContents(shards=shards, summary=dict(sorted(verdicts.items())))


def wanted_candidates(run: EvaluationRun) -> Iterator[list[Row]]:
    """Yield the candidates of a pool that the experiment asks for, by problem and sample index.

    A list holds whole problems, CANDIDATES_AT_ONCE or a few more. The pool may hold more samples: N can be lowered again.
    """
    samples = run.experiment.benchmarks[run.key.benchmark].samples
    for rows in whole_problems(run.store, run.key.artifact("candidate_pools"), CANDIDATES_AT_ONCE):
        yield in_order([row for row in rows if row["sample_index"] < samples])
