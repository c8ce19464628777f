"""Gap against k: the same pool in groups of further sizes, each with its own refinements.

One factory, made for a lane where the experiment file names further group sizes (``ks``).
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import dagster as dg

from assets.evaluation import refinement_prompts, sampling_summary, subject_engine, subject_model
from assets.materializing import Made, keep
from assets.recipes import Recipes
from assets.scoring import graded_rows, group_intervals, score_groups
from gsr_dagster.experiment import Experiment
from gsr_dagster.method.scores import GroupScore
from gsr_dagster.partitions import Partitions
from resources.artifacts import ArtifactStore
from resources.engines.loading import Engines
from resources.grader import Grader
from resources.manifests import ArtifactKey
from resources.rows import Row
from resources.samples import complete_samples


def curve_assets(experiment: Experiment, partitions: Partitions, lane: str) -> list:
    """Return the assets of a lane that measure the gap at further group sizes."""
    shared: dict[str, Any] = {
        "key_prefix": lane,
        "partitions_def": partitions.lane(lane),
        "group_name": f"{lane}_evaluation",
    }
    graded_candidates = dg.AssetKey([lane, "graded_candidates"])
    checkpoint = [dg.AssetKey("lora_checkpoints")] if lane == "student" else []

    @dg.asset(
        deps=["benchmark_problems", graded_candidates, *checkpoint],
        kinds={"transformers"},
        pool=experiment.pool,
        **shared,
    )
    def curve_refinements(
        context: dg.AssetExecutionContext, store: ArtifactStore, engines: Engines
    ) -> dg.MaterializeResult:
        """One refinement of every group of each further size; a pool is grouped anew for each."""
        benchmark, subject = context.partition_key.split("|")
        recipe = Recipes(experiment, store).curve_refinements(lane, benchmark, subject)

        def make() -> Made:
            problems = store.read(ArtifactKey("benchmark_problems", benchmark))
            graded = store.read(ArtifactKey(f"{lane}/graded_candidates", context.partition_key))
            load = subject_engine(experiment, store, engines, lane, subject)
            prompts, shortened = [], {}
            for k in experiment.further_ks:
                of_k, cut = refinement_prompts(experiment.at(k), at_k(subject, k), problems, graded, load)
                prompts += of_k
                shortened[f"shortened_candidates_at_{k}"] = cut
            rollout = experiment.rollout("refinement", lane, subject)
            shards = complete_samples(store, recipe, prompts, "refinement_id", rollout, load)
            summary = sampling_summary(store, recipe.key, recipe.fingerprint, shards)
            return Made(shards=shards, summary={**summary, **shortened})

        return keep(context, store, recipe, make)

    @dg.asset(deps=["benchmark_problems", graded_candidates, curve_refinements], kinds={"python"}, **shared)
    def gap_curves(context: dg.AssetExecutionContext, store: ArtifactStore, grader: Grader) -> dg.MaterializeResult:
        """Voting against refining at every further group size, a row each."""
        benchmark, subject = context.partition_key.split("|")
        recipe = Recipes(experiment, store).gap_curves(lane, benchmark, subject)

        def make() -> Made:
            problems = store.read(ArtifactKey("benchmark_problems", benchmark))
            graded = store.read(ArtifactKey(f"{lane}/graded_candidates", context.partition_key))
            refinements = [
                row
                for row in store.read(ArtifactKey(f"{lane}/curve_refinements", context.partition_key))
                if len(row["candidate_ids"]) in experiment.further_ks  # sizes named before stay in the store
            ]
            model = subject_model(experiment, lane, subject)
            refined = graded_rows(grader, str(recipe.key), problems, refinements, model)
            rows = []
            for k in experiment.further_ks:
                groups, _ = score_groups(experiment.at(k), at_k(subject, k), graded, refined)
                rows.append(curve_row(k, groups, experiment.seed))
            return Made(rows)

        return keep(context, store, recipe, make)

    return [curve_refinements, gap_curves]


def at_k(subject: str, k: int) -> str:
    """Return the subject with a group size, as it stands in the ids of that size's groups."""
    return f"{subject}/k{k}"


def curve_row(k: int, groups: Sequence[GroupScore], seed: int) -> Row:
    """Return the scores of the groups of one size: fractions with their intervals over problems, mean tokens."""
    return {
        "k": k,
        "groups": len(groups),
        "problems": len({group.problem_id for group in groups}),
        **{name: dataclasses.asdict(interval) for name, interval in group_intervals(groups, seed).items()},
        "tokens_per_refined_group": sum(g.candidate_tokens + g.refinement_tokens for g in groups) / len(groups),
    }
