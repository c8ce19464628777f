"""Evaluation: candidate pools, graded candidates, self-refinements and gap reports.

One factory, made once for base models ("base") and once for students ("student").
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import dagster as dg

from assets.materializing import Made, keep
from assets.recipes import Recipes
from gsr_dagster.experiment import Experiment, Model
from gsr_dagster.method.answers import final_answer
from gsr_dagster.method.groups import Group, candidate_groups
from gsr_dagster.method.prompts import direct_messages, fit_candidates, refinement_messages, summarise
from gsr_dagster.method.refinement_gap import bootstrap_mean, by_correct, refinement_gap
from gsr_dagster.method.scores import Graded, GroupScore, pass_at_k, score_group
from gsr_dagster.partitions import Partitions
from resources.artifacts import ArtifactKey, ArtifactStore, Row, StoredFile
from resources.engines.base import Engine
from resources.engines.loading import Engines
from resources.grader import Grader, Question
from resources.samples import Prompt, complete_samples


def evaluation_assets(experiment: Experiment, partitions: Partitions, lane: str) -> list:
    """Return the evaluation assets of a lane with their checks."""
    shared: dict[str, Any] = {
        "key_prefix": lane,
        "partitions_def": partitions.lane(lane),
        "group_name": f"{lane}_evaluation",
    }
    checkpoint = [dg.AssetKey("lora_checkpoints")] if lane == "student" else []

    @dg.asset(deps=["benchmark_problems", *checkpoint], kinds={"transformers"}, **shared)
    def candidate_pools(
        context: dg.AssetExecutionContext, store: ArtifactStore, engines: Engines
    ) -> dg.MaterializeResult:
        """N direct samples of every problem of a benchmark: the candidates."""
        benchmark, subject = context.partition_key.split("|")
        recipe = Recipes(experiment, store).candidate_pools(lane, benchmark, subject)

        def make() -> Made:
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
            shards = complete_samples(store, recipe, prompts, "candidate_id", experiment.evaluation.direct, load)
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
            problems = store.read(ArtifactKey("benchmark_problems", benchmark))
            pool = wanted_candidates(experiment, store, lane, benchmark, subject)
            rows = graded_rows(grader, str(recipe.key), problems, pool, subject_model(experiment, lane, subject))
            summary = verdict_summary(rows)
            for row in rows:
                del row["text"]  # it stays in the pool
            return Made(rows, summary=summary)

        return keep(context, store, recipe, make)

    @dg.asset(deps=["benchmark_problems", graded_candidates, *checkpoint], kinds={"transformers"}, **shared)
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
            settings = experiment.evaluation.refinement
            shards = complete_samples(store, recipe, prompts, "refinement_id", settings, load)
            summary = sampling_summary(store, recipe.key, recipe.fingerprint, shards)
            return Made(shards=shards, summary={**summary, "shortened_candidates": shortened})

        return keep(context, store, recipe, make)

    @dg.asset(deps=["benchmark_problems", graded_candidates, self_refinements], kinds={"python"}, **shared)
    def gap_reports(context: dg.AssetExecutionContext, store: ArtifactStore, grader: Grader) -> dg.MaterializeResult:
        """Voting against refining on the same groups: the Refinement Gap, with its interval."""
        benchmark, subject = context.partition_key.split("|")
        recipe = Recipes(experiment, store).gap_reports(lane, benchmark, subject)

        def make() -> Made:
            problems = store.read(ArtifactKey("benchmark_problems", benchmark))
            graded = store.read(ArtifactKey(f"{lane}/graded_candidates", context.partition_key))
            refinements = store.read(ArtifactKey(f"{lane}/self_refinements", context.partition_key))
            model = subject_model(experiment, lane, subject)
            refined = graded_rows(grader, str(recipe.key), problems, refinements, model)
            groups, rows = score_groups(experiment, subject, graded, refined)
            return Made(rows, summary=gap_summary(experiment, graded, groups))

        return keep(context, store, recipe, make)

    @dg.asset_check(asset=dg.AssetKey([lane, "candidate_pools"]), partitions_def=partitions.lane(lane))
    def pool_complete(context: dg.AssetCheckExecutionContext, store: ArtifactStore) -> dg.AssetCheckResult:
        """Every problem has its N candidates, and few were cut off by the token limit."""
        benchmark, subject = context.partition_key.split("|")
        problems = store.existing(ArtifactKey("benchmark_problems", benchmark)).rows
        rows = wanted_candidates(experiment, store, lane, benchmark, subject)
        expected = problems * experiment.benchmarks[benchmark].samples
        truncated = sum(row["finish_reason"] == "length" for row in rows)
        return dg.AssetCheckResult(
            passed=len({row["candidate_id"] for row in rows}) == expected,
            metadata={"candidates": len(rows), "expected": expected, "truncated": truncated},
        )

    return [candidate_pools, graded_candidates, self_refinements, gap_reports, pool_complete]


def subject_model(experiment: Experiment, lane: str, subject: str) -> Model:
    """Return the model of a subject: itself, or the base of a student."""
    return experiment.models[subject if lane == "base" else experiment.students[subject].base]


def subject_engine(
    experiment: Experiment, store: ArtifactStore, engines: Engines, lane: str, subject: str
) -> Callable[[], Engine]:
    """Return what loads a subject's engine, a student with the adapter of its checkpoint."""

    def adapter() -> Path:
        return store.local_files(ArtifactKey("lora_checkpoints", subject))

    return engines.loader(subject_model(experiment, lane, subject), adapter if lane == "student" else None)


def sampling_summary(
    store: ArtifactStore, key: ArtifactKey, fingerprint: str, shards: Sequence[StoredFile]
) -> dict[str, int]:
    """Return the counts of an artifact of samples."""
    rows = [row for shard in shards for row in store.read_shard(key, fingerprint, shard.name).to_pylist()]
    return {
        "samples": len(rows),
        "generated_tokens": sum(row["generated_tokens"] for row in rows),
        "truncated": sum(row["finish_reason"] == "length" for row in rows),
    }


def wanted_candidates(
    experiment: Experiment, store: ArtifactStore, lane: str, benchmark: str, subject: str
) -> list[Row]:
    """Return the candidates of a pool that the experiment asks for, by problem and sample index.

    The pool may hold more: N can be lowered again.
    """
    pool = store.read(ArtifactKey(f"{lane}/candidate_pools", f"{benchmark}|{subject}"))
    wanted = [row for row in pool if row["sample_index"] < experiment.benchmarks[benchmark].samples]
    return sorted(wanted, key=lambda row: (row["problem_id"], row["sample_index"]))


def graded_rows(grader: Grader, label: str, problems: Sequence[Row], samples: Sequence[Row], model: Model) -> list[Row]:
    """Return the samples with ``summary``, ``answer``, ``verdict``, ``correct`` and ``answer_class``."""
    questions = {row["problem_id"]: Question(row["answer"], row["domain"]) for row in problems}
    summaries = [summarise(row["text"], model.thinking_end) for row in samples]
    answers = [final_answer(summary) for summary in summaries]
    asked = [(row["problem_id"], answer) for row, answer in zip(samples, answers, strict=True)]
    grades = grader.grade(label, questions, asked)
    return [
        {
            **{name: value for name, value in row.items() if name not in ("seed", "prompt_sha256")},
            "summary": summary,
            "answer": answer,
            "verdict": grade.verdict,
            "correct": grade.correct,
            "answer_class": grade.answer_class,
        }
        for row, summary, answer, grade in zip(samples, summaries, answers, grades, strict=True)
    ]


def verdict_summary(rows: Sequence[Row]) -> dict[str, int]:
    """Return how often each verdict was given."""
    return dict(sorted(Counter(row["verdict"] for row in rows).items()))


def pool_groups(experiment: Experiment, subject: str, graded: Sequence[Row]) -> Iterator[tuple[str, Group, list[Row]]]:
    """Yield every group of a pool: its id (SUBJECT/PROBLEM/gNUMBER), the group, its problem's rows by index."""
    by_problem: dict[str, list[Row]] = defaultdict(list)
    for row in sorted(graded, key=lambda row: (row["problem_id"], row["sample_index"])):
        by_problem[row["problem_id"]].append(row)
    for problem_id, rows in by_problem.items():
        for group in candidate_groups(problem_id, len(rows), experiment.k, experiment.seed):
            yield f"{subject}/{group.id}", group, rows


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
        shown, cut = fit_candidates(
            [row["summary"] for row in members],
            experiment.evaluation.candidate_tokens,
            engine.tokenize,
            engine.detokenize,
        )
        shortened += cut
        columns = {"problem_id": group.problem_id, "candidate_ids": [row["candidate_id"] for row in members]}
        prompts.append(Prompt(group_id, refinement_messages(texts[group.problem_id], shown), 1, columns))
    return prompts, shortened


def score_groups(
    experiment: Experiment, subject: str, graded: Sequence[Row], refined: Sequence[Row]
) -> tuple[list[GroupScore], list[Row]]:
    """Return the scores of every group, and the rows of the gap report."""
    refinements = {row["prompt_id"]: row for row in refined}
    groups, rows = [], []
    for group_id, group, candidates in pool_groups(experiment, subject, graded):
        refinement = refinements[group_id]
        score = score_group(group, [as_graded(row) for row in candidates], as_graded(refinement))
        groups.append(score)
        named = {name: refinement[name] for name in ("refinement_id", "candidate_ids", "answer", "verdict")}
        rows.append({**vars(score), "group_id": group_id, **named})
    return groups, rows


def as_graded(row: Row) -> Graded:
    return Graded(row["correct"], row["answer_class"], row["generated_tokens"])


def gap_summary(experiment: Experiment, graded: Sequence[Row], groups: Sequence[GroupScore]) -> dict:
    """Return the scores of a gap report: fractions with their 95 % intervals, and mean generated tokens."""
    by_problem: dict[str, list[bool]] = defaultdict(list)
    for row in graded:
        by_problem[row["problem_id"]].append(row["correct"])
    problem_ids = [group.problem_id for group in groups]
    per_group = {
        "maj_at_k": [group.vote for group in groups],
        "self_ref_at_k": [float(group.refined) for group in groups],
    }
    per_problem = {
        "pass_at_1": [pass_at_k(len(c), sum(c), 1) for c in by_problem.values()],
        "pass_at_k": [pass_at_k(len(c), sum(c), experiment.k) for c in by_problem.values()],
    }
    scores = {
        **{name: bootstrap_mean(list(by_problem), values, experiment.seed) for name, values in per_problem.items()},
        **{name: bootstrap_mean(problem_ids, values, experiment.seed) for name, values in per_group.items()},
        "refinement_gap": refinement_gap(groups, experiment.seed),
    }
    return {
        "problems": len(by_problem),
        "groups": len(groups),
        "k": experiment.k,
        **{name: score.estimate for name, score in scores.items()},
        "intervals": {name: [score.low, score.high] for name, score in scores.items()},
        "by_correct": [vars(stratum) for stratum in by_correct(groups, experiment.k)],
        "tokens_per_candidate": sum(row["generated_tokens"] for row in graded) / len(graded),
        "tokens_per_refined_group": sum(g.candidate_tokens + g.refinement_tokens for g in groups) / len(groups),
        "tokens_per_vote": sum(g.candidate_tokens for g in groups) / len(groups),
    }
