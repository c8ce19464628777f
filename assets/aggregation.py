"""Other aggregations of the same groups: an asset of samples or scores for each that the experiment names, and a table.

aggregations:
  genselect: {kind: generative_selection}
  skywork: {kind: reward_model, source: "hf:ORG/NAME@REVISION"}
"""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg

from assets.aggregation_table import SAME_ORDER, aggregated_rows, aggregation_summary, round_id, shown_groups
from assets.evaluation import sampling_summary, subject_engine, subject_model
from assets.materializing import Made, keep
from assets.recipes import AGGREGATION, Recipes
from assets.scoring import scored
from gsr_dagster.experiment import Experiment
from gsr_dagster.method.prompts import Message, fit_candidates, refinement_messages, summarise
from gsr_dagster.method.selection import consistency_messages, selection_messages
from gsr_dagster.partitions import Partitions
from gsr_dagster.settings import (
    Aggregation,
    RepeatedRefinement,
    RewardModelChoice,
    RolloutSettings,
    ShuffledRefinement,
    Synthesis,
)
from resources.artifacts import ArtifactStore
from resources.engines.base import Engine
from resources.engines.loading import Engines
from resources.grader import Grader
from resources.manifests import ArtifactKey, Recipe
from resources.recorded_scores import recorded_scores
from resources.report_page import between, points
from resources.reward_model import RewardModel, complete_scores
from resources.rows import Row
from resources.samples import Prompt, complete_samples
from resources.weights import fetch

# What asks for an answer to a group, where it is not the refinement prompt.
PROMPTS: dict[str, Callable[[str, Sequence[str]], list[Message]]] = {
    "generative_selection": selection_messages,
    "universal_self_consistency": consistency_messages,
}


def aggregation_assets(experiment: Experiment, partitions: Partitions, lane: str) -> list:
    """Return a lane's assets of the aggregations that the experiment names; none where it names none."""
    if not experiment.aggregations:
        return []
    graded, gaps = dg.AssetKey([lane, "graded_candidates"]), dg.AssetKey([lane, "gap_reports"])
    shared: dict[str, Any] = {"partitions_def": partitions.lane(lane), "group_name": f"{lane}_evaluation"}
    named = [one_aggregation(experiment, lane, name, shared) for name in experiment.aggregations]

    @dg.asset(key_prefix=lane, deps=["benchmark_problems", graded, gaps, *named], kinds={"python"}, **shared)
    def aggregations(context: dg.AssetExecutionContext, store: ArtifactStore, grader: Grader) -> dg.MaterializeResult:
        """Every aggregation of the same groups beside the vote: score, cost, and the difference with its interval."""
        benchmark, subject = context.partition_key.split("|")
        recipe = Recipes(experiment, store).aggregations(lane, benchmark, subject)

        def make() -> Made:
            def read(asset: str) -> list[Row]:
                return store.read(ArtifactKey(f"{lane}/{asset}", context.partition_key))

            rows = aggregated_rows(
                experiment,
                subject,
                subject_model(experiment, lane, subject),
                grader,
                problems=store.read(ArtifactKey("benchmark_problems", benchmark)),
                candidates=scored(read("graded_candidates")),
                gaps=read("gap_reports"),
                named={name: read(f"{AGGREGATION}/{name}") for name in experiment.aggregations},
            )
            summary = aggregation_summary(experiment, rows)
            return Made(rows, summary=summary, metadata={"scores": score_table(summary["aggregations"])})

        return keep(context, store, recipe, make)

    return [*named, aggregations]


def one_aggregation(experiment: Experiment, lane: str, name: str, shared: dict[str, Any]) -> Any:
    """Return the asset of one named aggregation: the answers that a model gave to the groups, or scores."""
    settings = experiment.aggregations[name]
    checkpoint = [dg.AssetKey("lora_checkpoints")] if lane == "student" else []

    @dg.asset(
        name=name,
        key_prefix=[lane, AGGREGATION],
        deps=["benchmark_problems", dg.AssetKey([lane, "graded_candidates"]), *checkpoint],
        description=type(settings).__doc__,
        kinds={"transformers"},
        pool=experiment.pool,
        **shared,
    )
    def aggregation(context: dg.AssetExecutionContext, store: ArtifactStore, engines: Engines) -> dg.MaterializeResult:
        benchmark, subject = context.partition_key.split("|")
        recipe = Recipes(experiment, store).aggregation(lane, name, benchmark, subject)

        def make() -> Made:
            problems = {row["problem_id"]: row["problem"] for row in store.read(recipe.upstream[0])}
            candidates = scored(store.read(ArtifactKey(f"{lane}/graded_candidates", context.partition_key)))
            if settings.kind == "reward_model":
                return reward_scores(store, recipe, engines, settings, problems, candidates)
            if settings.kind == "recorded_scores":
                scores = recorded_scores(settings.path, [row["candidate_id"] for row in candidates])
                return Made(
                    [{"candidate_id": id_, "score": score, "scored_tokens": 0} for id_, score in scores.items()]
                )
            model = subject_model(experiment, lane, subject)
            load = subject_engine(experiment, store, engines, lane, subject)
            rollout = experiment.rollout("refinement", lane, subject)
            if isinstance(settings, Synthesis):
                load = engines.loader(experiment.models[settings.model])
                rollout = experiment.rollout("refinement", "base", settings.model)
            questions = group_questions(experiment, subject, settings, problems, candidates)
            if isinstance(settings, RepeatedRefinement):
                return refine_in_rounds(
                    experiment, store, recipe, load, rollout, questions, settings.rounds, model.thinking_end
                )
            write = PROMPTS.get(settings.kind, refinement_messages)
            return ask(experiment, store, recipe, load, rollout, questions, write)

        return keep(context, store, recipe, make)

    return aggregation


def score_table(entries: Sequence[Row]) -> dg.MetadataValue:
    """Return the aggregations for the page, in percent and points."""
    return dg.MetadataValue.table(
        [
            dg.TableRecord(
                {
                    "aggregation": entry["aggregation"],
                    "score": f"{100 * entry['score']['estimate']:.1f} {between(entry['score'])}",
                    "minus majority": "–"
                    if entry["difference"] is None
                    else f"{points(entry['difference']['estimate'])} {between(entry['difference'])}",
                    "tokens": round(entry["tokens"]),
                }
            )
            for entry in entries
        ]
    )


@dataclass(frozen=True)
class GroupQuestion:
    """A group as it is put to a model: the ids and summaries of what is shown, in this order."""

    id: str
    problem_id: str
    problem: str
    shown_ids: tuple[str, ...]
    summaries: tuple[str | None, ...]


def group_questions(
    experiment: Experiment, subject: str, settings: Aggregation, problems: dict[str, str], candidates: Sequence[Row]
) -> list[GroupQuestion]:
    """Return what an aggregation asks; where the order is changed, also the group in the order as it was."""
    versions: list[tuple[Aggregation | None, str]] = [(settings, "")]
    if isinstance(settings, ShuffledRefinement):
        versions.append((None, f"/{SAME_ORDER}"))
    return [
        GroupQuestion(
            f"{group.id}{ending}",
            group.problem_id,
            problems[group.problem_id],
            tuple(row["candidate_id"] for row in members),
            tuple(row["summary"] for row in members),
        )
        for version, ending in versions
        for group, members in shown_groups(experiment, subject, version, candidates)
    ]


def ask(
    experiment: Experiment,
    store: ArtifactStore,
    recipe: Recipe,
    load: Callable[[], Engine],
    rollout: RolloutSettings,
    questions: Sequence[GroupQuestion],
    write: Callable[[str, Sequence[str]], list[Message]] = refinement_messages,
    samples: int = 1,
) -> Made:
    """Draw answers to the groups."""
    engine, budget = load(), experiment.evaluation.candidate_tokens
    prompts, shortened = [], 0
    for question in questions:
        shown, cut = fit_candidates(question.summaries, budget, engine.tokenize, engine.detokenize)
        columns = {"problem_id": question.problem_id, "candidate_ids": list(question.shown_ids)}
        prompts.append(Prompt(question.id, write(question.problem, shown), samples, columns))
        shortened += cut
    shards = complete_samples(store, recipe, prompts, "sample_id", rollout, load)
    summary = sampling_summary(store, recipe.key, recipe.fingerprint, shards)
    return Made(shards=shards, summary={**summary, "shortened_candidates": shortened})


def refine_in_rounds(
    experiment: Experiment,
    store: ArtifactStore,
    recipe: Recipe,
    load: Callable[[], Engine],
    rollout: RolloutSettings,
    groups: Sequence[GroupQuestion],
    rounds: int,
    thinking_end: str | None,
) -> Made:
    """Refine each group k times and those k together, round by round; the last round refines once.

    So every group is its own tree, and is held against the vote over the same candidates.
    """
    questions = {group.id: group for group in groups}
    for number in range(1, rounds):
        asked = [dataclasses.replace(question, id=round_id(group, number)) for group, question in questions.items()]
        made = ask(experiment, store, recipe, load, rollout, asked, samples=experiment.k)
        rows = {row["sample_id"]: row for row in store.read_shards(recipe.key, recipe.fingerprint, made.shards)}
        for group, question in questions.items():
            drawn = [rows[f"{round_id(group, number)}/{index}"] for index in range(experiment.k)]
            questions[group] = dataclasses.replace(
                question,
                shown_ids=tuple(row["sample_id"] for row in drawn),
                summaries=tuple(summarise(row["text"], thinking_end) for row in drawn),
            )
    last = [dataclasses.replace(question, id=round_id(group, rounds)) for group, question in questions.items()]
    return ask(experiment, store, recipe, load, rollout, last)


def reward_scores(
    store: ArtifactStore,
    recipe: Recipe,
    engines: Engines,
    settings: RewardModelChoice,
    problems: dict[str, str],
    candidates: Sequence[Row],
) -> Made:
    """Score every candidate's summary as a response to its problem; one without is shown as "(no answer)"."""

    def chat(row: Row) -> list[Message]:
        response = row["summary"] or "(no answer)"
        return [{"role": "user", "content": problems[row["problem_id"]]}, {"role": "assistant", "content": response}]

    def load() -> RewardModel:
        engines.release()  # two models may not fit
        return RewardModel(fetch(settings.source), settings.batch_size)

    prompts = [Prompt(row["candidate_id"], chat(row), 1) for row in candidates]
    shards = complete_scores(store, recipe, prompts, load)
    tokens = [
        row["scored_tokens"] for row in store.read_shards(recipe.key, recipe.fingerprint, shards, "scored_tokens")
    ]
    return Made(shards=shards, summary={"scores": len(tokens), "scored_tokens": sum(tokens)})
