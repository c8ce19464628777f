"""Evaluation: candidate pools, graded candidates, self-refinements and gap reports.

One factory, made once for base models ("base") and once for students ("student").
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate, groupby
from pathlib import Path
from typing import Any

import dagster as dg

from assets.contamination import overlapping_problems
from assets.materializing import Made, keep
from assets.recipes import Recipes
from assets.refusals import refuse_broken_chain, refuse_incomplete
from assets.scoring import (
    gap_diagnostics,
    gap_summary,
    graded_rows,
    in_order,
    pool_groups,
    score_groups,
)
from gsr_dagster.experiment import Experiment, Model
from gsr_dagster.method.prompts import Message, direct_messages, fit_candidates, refinement_messages
from gsr_dagster.partitions import Partitions
from resources.artifacts import ArtifactStore
from resources.engines.base import Engine
from resources.engines.loading import Engines
from resources.grader import Grader
from resources.manifests import ArtifactKey, StoredFile
from resources.plots import by_correct_plot, markdown_image
from resources.rows import Row
from resources.samples import Prompt, complete_samples

# What grading holds in memory of a pool.
CANDIDATES_AT_ONCE = 2048


def evaluation_assets(experiment: Experiment, partitions: Partitions, lane: str) -> list:
    """Return the evaluation assets of a lane."""
    shared: dict[str, Any] = {
        "key_prefix": lane,
        "partitions_def": partitions.lane(lane),
        "group_name": f"{lane}_evaluation",
    }
    checkpoint = [dg.AssetKey("lora_checkpoints")] if lane == "student" else []
    contamination = [dg.AssetKey("contamination")] if lane == "student" else []

    @dg.asset(deps=["benchmark_problems", *checkpoint], kinds={"transformers"}, pool=experiment.pool, **shared)
    def candidate_pools(
        context: dg.AssetExecutionContext, store: ArtifactStore, engines: Engines
    ) -> dg.MaterializeResult:
        """N direct samples of every problem of a benchmark: the candidates."""
        benchmark, subject = context.partition_key.split("|")
        recipe = Recipes(experiment, store).candidate_pools(lane, benchmark, subject)

        def make() -> Made:
            if lane == "student":
                refuse_broken_chain(store, subject)
            problems = store.read(ArtifactKey("benchmark_problems", benchmark))
            settings = experiment.benchmarks[benchmark]
            examples = [(example.problem, example.solution) for example in settings.worked_examples]
            prompts = [
                Prompt(
                    f"{subject}/{row['problem_id']}",
                    direct_messages(row["problem"], examples),
                    settings.samples,
                    {"problem_id": row["problem_id"]},
                )
                for row in problems
            ]
            load = subject_engine(experiment, store, engines, lane, subject)
            rollout = experiment.rollout("direct", lane, subject)
            shards = complete_samples(store, recipe, prompts, "candidate_id", rollout, load)
            return Made(shards=shards, summary=sampling_summary(store, recipe.key, recipe.fingerprint, shards))

        return keep(context, store, recipe, make)

    @dg.asset(deps=["benchmark_problems", candidate_pools], kinds={"python"}, **shared)
    def graded_candidates(
        context: dg.AssetExecutionContext, store: ArtifactStore, grader: Grader
    ) -> dg.MaterializeResult:
        """Every candidate's answer, whether it is right, and which answers are equal."""
        benchmark, subject = context.partition_key.split("|")
        recipe = Recipes(experiment, store).graded_candidates(lane, benchmark, subject)

        def make() -> Made:
            refuse_incomplete(experiment, store, ArtifactKey(f"{lane}/candidate_pools", context.partition_key))
            problems = store.read(ArtifactKey("benchmark_problems", benchmark))
            model = subject_model(experiment, lane, subject)
            shards, verdicts = [], Counter()
            for candidates in wanted_candidates(experiment, store, lane, benchmark, subject):
                rows = graded_rows(grader, str(recipe.key), problems, candidates, model)
                verdicts.update(row["verdict"] for row in rows)
                for row in rows:
                    del row["text"]  # it stays in the pool
                shards.append(store.put_shard(recipe, rows))
            return Made(shards=shards, summary=dict(sorted(verdicts.items())))

        return keep(context, store, recipe, make)

    @dg.asset(
        deps=["benchmark_problems", graded_candidates, *checkpoint],
        kinds={"transformers"},
        pool=experiment.pool,
        **shared,
    )
    def self_refinements(
        context: dg.AssetExecutionContext, store: ArtifactStore, engines: Engines
    ) -> dg.MaterializeResult:
        """One refinement of every group of k candidates, by the model that sampled them."""
        benchmark, subject = context.partition_key.split("|")
        recipe = Recipes(experiment, store).self_refinements(lane, benchmark, subject)

        def make() -> Made:
            problems = store.read(ArtifactKey("benchmark_problems", benchmark))
            graded = store.read(ArtifactKey(f"{lane}/graded_candidates", context.partition_key))
            load = subject_engine(experiment, store, engines, lane, subject)
            prompts, shortened = refinement_prompts(experiment, subject, problems, graded, load)
            rollout = experiment.rollout("refinement", lane, subject)
            shards = complete_samples(store, recipe, prompts, "refinement_id", rollout, load)
            summary = sampling_summary(store, recipe.key, recipe.fingerprint, shards)
            return Made(shards=shards, summary={**summary, "shortened_candidates": shortened})

        return keep(context, store, recipe, make)

    @dg.asset(
        deps=["benchmark_problems", graded_candidates, self_refinements, *contamination], kinds={"python"}, **shared
    )
    def gap_reports(context: dg.AssetExecutionContext, store: ArtifactStore, grader: Grader) -> dg.MaterializeResult:
        """Voting against refining on the same groups: the Refinement Gap, with its interval."""
        benchmark, subject = context.partition_key.split("|")
        recipe = Recipes(experiment, store).gap_reports(lane, benchmark, subject)

        def make() -> Made:
            refuse_incomplete(experiment, store, ArtifactKey(f"{lane}/self_refinements", context.partition_key))
            problems = store.read(ArtifactKey("benchmark_problems", benchmark))
            graded = store.read(ArtifactKey(f"{lane}/graded_candidates", context.partition_key))
            refinements = store.read(ArtifactKey(f"{lane}/self_refinements", context.partition_key))
            model = subject_model(experiment, lane, subject)
            refined = graded_rows(grader, str(recipe.key), problems, refinements, model)
            groups, rows = score_groups(experiment, subject, graded, refined)
            overlapping = overlapping_problems(store, benchmark) if lane == "student" else set()
            diagnostics = gap_diagnostics(experiment, subject, grader, problems, graded, refined)
            summary = gap_summary(experiment, graded, groups, overlapping)
            figure = by_correct_plot([{"subject": f"{benchmark}, {subject}", **summary}])
            return Made(
                rows,
                summary={**summary, "diagnostics": diagnostics},
                metadata={"by_correct": dg.MetadataValue.md(markdown_image(figure))},
            )

        return keep(context, store, recipe, make)

    return [candidate_pools, graded_candidates, self_refinements, gap_reports]


def subject_model(experiment: Experiment, lane: str, subject: str) -> Model:
    """Return the model of a subject: itself, or the base of a student, with the student's way to end its thinking."""
    if lane == "base":
        return experiment.models[subject]
    base = experiment.models[experiment.students[subject].base]
    return base.model_copy(update={"thinking_end": experiment.thinking_end(subject)})


def subject_engine(
    experiment: Experiment, store: ArtifactStore, engines: Engines, lane: str, subject: str
) -> Callable[[], Engine]:
    """Return what loads a subject's engine, a student with its checkpoint."""

    def checkpoint() -> Path:
        return store.local_files(ArtifactKey("lora_checkpoints", subject))

    return engines.loader(subject_model(experiment, lane, subject), checkpoint if lane == "student" else None)


def sampling_summary(
    store: ArtifactStore, key: ArtifactKey, fingerprint: str, shards: Sequence[StoredFile]
) -> dict[str, int]:
    """Return the counts of an artifact of samples."""
    counts = Counter(samples=0, generated_tokens=0, truncated=0)
    for row in store.read_shards(key, fingerprint, shards, "generated_tokens", "finish_reason"):
        cut_off = row["finish_reason"] == "length"
        counts.update(samples=1, generated_tokens=row["generated_tokens"], truncated=cut_off)
    return dict(counts)


def wanted_candidates(
    experiment: Experiment, store: ArtifactStore, lane: str, benchmark: str, subject: str
) -> Iterator[list[Row]]:
    """Yield the candidates of a pool that the experiment asks for, by problem and sample index.

    A list holds whole problems, CANDIDATES_AT_ONCE or a few more. The pool may hold more samples: N can be lowered again.
    """
    key = ArtifactKey(f"{lane}/candidate_pools", f"{benchmark}|{subject}")
    manifest = store.existing(key)
    samples = experiment.benchmarks[benchmark].samples
    shards_of: dict[str, set[int]] = defaultdict(set)
    counts: Counter[str] = Counter()
    for number, shard in enumerate(manifest.shards):
        for row in store.read_shards(key, manifest.fingerprint, [shard], "problem_id"):
            shards_of[row["problem_id"]].add(number)
            counts[row["problem_id"]] += 1
    ends = dict(zip(counts, accumulate(counts.values()), strict=True))
    for _, group in groupby(counts, lambda problem: ends[problem] // CANDIDATES_AT_ONCE):
        problems = set(group)
        numbers = sorted({number for problem in problems for number in shards_of[problem]})
        rows = store.read_shards(key, manifest.fingerprint, [manifest.shards[number] for number in numbers])
        yield in_order([row for row in rows if row["problem_id"] in problems and row["sample_index"] < samples])


def refinement_prompts(
    experiment: Experiment,
    subject: str,
    problems: Sequence[Row],
    graded: Sequence[Row],
    load_engine: Callable[[], Engine],
) -> tuple[list[Prompt], int]:
    """Return a prompt for every group, and how many candidates were shortened to the token budget."""
    texts = {row["problem_id"]: row["problem"] for row in problems}
    engine = load_engine()
    prompts, shortened = [], 0
    for group_id, group, rows in pool_groups(experiment, subject, graded):
        members = [rows[index] for index in group.indices]
        messages, cut = refinement_prompt(experiment, engine, texts[group.problem_id], members)
        shortened += cut
        columns = {"problem_id": group.problem_id, "candidate_ids": [row["candidate_id"] for row in members]}
        prompts.append(Prompt(group_id, messages, 1, columns))
    return prompts, shortened


def refinement_prompt(
    experiment: Experiment, engine: Engine, problem: str, members: Sequence[Row]
) -> tuple[list[Message], int]:
    """Return the chat that shows graded candidates in their order, and how many were shortened to the budget."""
    summaries = [row["summary"] for row in members]
    budget = experiment.evaluation.candidate_tokens
    shown, cut = fit_candidates(summaries, budget, engine.tokenize, engine.detokenize)
    return refinement_messages(problem, shown), cut
