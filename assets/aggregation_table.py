"""The aggregations of the same groups, row by row and summed up: plain functions on rows.

A row: ``aggregation``, ``group_id``, ``problem_id``, ``n_correct``, ``correct`` (0..1, a tie by its share),
``tokens`` (generated, candidates included), ``scored_tokens`` (read by a reward model), ``chosen`` (a candidate's id
where one was picked), ``answer``, ``answer_class`` (numbered over all rows of a problem) and ``unread`` (a choice
that could not be read, which counts as wrong).
"""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from pydantic import BaseModel

from assets.scoring import by_problem, pool_groups
from gsr_dagster.experiment import ALWAYS_AGGREGATED, Experiment, Model
from gsr_dagster.method.answers import final_answer, vote_winner
from gsr_dagster.method.diagnostics import order_changes
from gsr_dagster.method.groups import Group, planned_groups, reordered
from gsr_dagster.method.intervals import Interval, bootstrap_mean
from gsr_dagster.method.prompts import summarise
from gsr_dagster.method.scores import best_of_k
from gsr_dagster.method.selection import chosen_candidate
from gsr_dagster.settings import Aggregation, PlannedRefinement, RepeatedRefinement, ShuffledRefinement, Synthesis
from resources.grader import Grader, Question
from resources.rows import Row

MAJORITY, SELF_REFINEMENT = ALWAYS_AGGREGATED
# A group refined once more as it was, beside one whose order was changed.
SAME_ORDER = "same_order"


def shown_groups(
    experiment: Experiment, subject: str, settings: Aggregation | None, candidates: Sequence[Row]
) -> Iterator[tuple[Group, list[Row]]]:
    """Yield the groups an aggregation is asked about, under their full id, with their candidates in the order shown."""
    if isinstance(settings, PlannedRefinement):
        pools = by_problem(candidates)
        correct = {problem_id: [row["correct"] for row in rows] for problem_id, rows in pools.items()}
        for group in planned_groups(correct, experiment.k, settings.groups_per_stratum, experiment.seed):
            members = [pools[group.problem_id][index] for index in group.indices]
            yield dataclasses.replace(group, id=f"{subject}/{group.id}"), members
        return
    for group_id, pooled, rows in pool_groups(experiment, subject, candidates):
        group = reordered(pooled, experiment.seed) if isinstance(settings, ShuffledRefinement) else pooled
        yield dataclasses.replace(group, id=group_id), [rows[index] for index in group.indices]


def round_id(group_id: str, number: int) -> str:
    """Return the id of a group in a round, 1.., of repeated refinement."""
    return f"{group_id}/r{number}"


def aggregated_rows(
    experiment: Experiment,
    subject: str,
    model: Model,
    grader: Grader,
    problems: Sequence[Row],
    candidates: Sequence[Row],
    gaps: Sequence[Row],
    named: dict[str, list[Row]],
) -> list[Row]:
    """Return the rows of the vote, of one refinement, and of every named aggregation.

    ``candidates`` are the graded ones of the problems that can be scored, ``gaps`` the gap
    report's rows, ``named`` each aggregation's samples or scores.
    """
    rows = list(_always(experiment, subject, candidates, gaps))
    for name, settings in experiment.aggregations.items():
        groups = list(shown_groups(experiment, subject, settings, candidates))
        match settings.kind:
            case "reward_model" | "recorded_scores":
                rows += _best_scored(name, groups, named[name])
            case "generative_selection" | "universal_self_consistency":
                rows += _picked(name, groups, named[name], model.thinking_end)
            case _:
                refiner = experiment.models[settings.model] if isinstance(settings, Synthesis) else model
                rows += _refined(experiment, name, settings, groups, named[name], refiner.thinking_end)
    questions = {row["problem_id"]: Question(row["answer"], row["domain"]) for row in problems}
    grades = grader.grade(f"aggregations {subject}", questions, [(row["problem_id"], row["answer"]) for row in rows])
    for row, grade in zip(rows, grades, strict=True):
        row["answer_class"] = grade.answer_class
        if row["correct"] is None:
            row["correct"] = float(grade.correct)
    return rows


def _always(experiment: Experiment, subject: str, candidates: Sequence[Row], gaps: Sequence[Row]) -> Iterator[Row]:
    by_group = {row["group_id"]: row for row in gaps}
    for group, members in shown_groups(experiment, subject, None, candidates):
        gap = by_group[group.id]
        winner = vote_winner([row["answer_class"] for row in members])
        voted = next((row["answer"] for row in members if winner is not None and row["answer_class"] == winner), None)
        yield _row(MAJORITY, group, members, correct=gap["vote"], answer=voted)
        refined = {"correct": float(gap["refined"]), "answer": gap["answer"], "generated": gap["refinement_tokens"]}
        yield _row(SELF_REFINEMENT, group, members, **refined)


def _best_scored(name: str, groups: Sequence[tuple[Group, list[Row]]], scores: Sequence[Row]) -> Iterator[Row]:
    """The best scored candidate of each group, ties by their share."""
    by_candidate = {row["candidate_id"]: row for row in scores}
    for group, members in groups:
        scored = [by_candidate[row["candidate_id"]] for row in members]
        values = [row["score"] for row in scored]
        correct = best_of_k(values, [row["correct"] for row in members])[-1]
        best = [row for row, value in zip(members, values, strict=True) if value == max(values)]
        yield _row(
            name,
            group,
            members,
            correct=float(correct),
            chosen=best[0]["candidate_id"] if len(best) == 1 else None,
            answer=best[0]["answer"] if len(best) == 1 else None,
            scored_tokens=sum(row["scored_tokens"] for row in scored),
        )


def _picked(
    name: str, groups: Sequence[tuple[Group, list[Row]]], samples: Sequence[Row], thinking_end: str | None
) -> Iterator[Row]:
    """The candidate of each group that the model picked."""
    by_prompt = {row["prompt_id"]: row for row in samples}
    for group, members in groups:
        sample = by_prompt[group.id]
        index = chosen_candidate(summarise(sample["text"], thinking_end), len(members))
        chosen = None if index is None else members[index]
        yield _row(
            name,
            group,
            members,
            correct=float(chosen is not None and chosen["correct"]),
            chosen=chosen["candidate_id"] if chosen else None,
            answer=chosen["answer"] if chosen else None,
            generated=sample["generated_tokens"],
            unread=chosen is None,
        )


def _refined(
    experiment: Experiment,
    name: str,
    settings: Aggregation,
    groups: Sequence[tuple[Group, list[Row]]],
    samples: Sequence[Row],
    thinking_end: str | None,
) -> Iterator[Row]:
    """A new answer to each group, after all rounds where there are several; graded later."""
    by_id = {(row["prompt_id"], row["sample_index"]): row for row in samples}
    rounds = settings.rounds if isinstance(settings, RepeatedRefinement) else 0
    for group, members in groups:
        last = by_id[round_id(group.id, rounds) if rounds else group.id, 0]
        before = [
            by_id[round_id(group.id, number), index]["generated_tokens"]
            for number in range(1, rounds)
            for index in range(experiment.k)
        ]
        answer = final_answer(summarise(last["text"], thinking_end))
        yield _row(name, group, members, answer=answer, generated=last["generated_tokens"] + sum(before))
        if isinstance(settings, ShuffledRefinement):
            again = by_id[f"{group.id}/{SAME_ORDER}", 0]
            answer = final_answer(summarise(again["text"], thinking_end))
            yield _row(f"{name}/{SAME_ORDER}", group, members, answer=answer, generated=again["generated_tokens"])


def _row(
    name: str,
    group: Group,
    members: Sequence[Row],
    correct: float | None = None,
    chosen: str | None = None,
    answer: str | None = None,
    generated: int = 0,
    scored_tokens: int = 0,
    unread: bool = False,
) -> Row:
    return {
        "aggregation": name,
        "group_id": group.id,
        "problem_id": group.problem_id,
        "n_correct": sum(row["correct"] for row in members),
        "correct": correct,
        "tokens": sum(row["generated_tokens"] for row in members) + generated,
        "scored_tokens": scored_tokens,
        "chosen": chosen,
        "answer": answer,
        "unread": unread,
    }


class AggregationScores(BaseModel, extra="allow"):
    """What tables show of one aggregation, as ``aggregation_summary`` makes it."""

    aggregation: str
    score: Interval
    difference: Interval | None
    tokens: float


class AggregationsShown(BaseModel, extra="allow"):
    """What tables show of the summary of aggregations."""

    aggregations: list[AggregationScores]


def aggregation_summary(experiment: Experiment, rows: Sequence[Row]) -> dict[str, Any]:
    """Return what the table shows: every aggregation's score and its difference to the vote, as fractions, and its cost.

    ``planned`` holds, by aggregation, the score by number of correct candidates;
    ``order`` how often an answer changes when a group is refined again.
    """
    seed = experiment.seed
    by_name: dict[str, list[Row]] = {name: [] for name in (*ALWAYS_AGGREGATED, *experiment.aggregations)}
    for row in rows:
        by_name.setdefault(row["aggregation"], []).append(row)
    vote = {row["group_id"]: row["correct"] for row in by_name[MAJORITY]}
    paired, planned, order = [], {}, {}
    for name in (*ALWAYS_AGGREGATED, *experiment.aggregations):
        settings = experiment.aggregations.get(name)
        if isinstance(settings, PlannedRefinement):
            planned[name] = _by_number_correct(by_name[name], experiment.k, seed)
            continue
        paired.append(_entry(name, settings.kind if settings else name, by_name[name], vote, seed))
        if isinstance(settings, ShuffledRefinement):
            order[name] = _order(by_name[SELF_REFINEMENT], by_name[name], by_name[f"{name}/{SAME_ORDER}"], seed)
    return {"groups": len(vote), "aggregations": paired, "planned": planned, "order": order}


def _entry(name: str, kind: str, rows: Sequence[Row], vote: dict[str, float], seed: int) -> Row:
    problems = [row["problem_id"] for row in rows]
    gains = [row["correct"] - vote[row["group_id"]] for row in rows]
    return {
        "aggregation": name,
        "kind": kind,
        "score": dataclasses.asdict(bootstrap_mean(problems, [row["correct"] for row in rows], seed)),
        "difference": None if name == MAJORITY else dataclasses.asdict(bootstrap_mean(problems, gains, seed)),
        "tokens": float(np.mean([row["tokens"] for row in rows])),
        "scored_tokens": float(np.mean([row["scored_tokens"] for row in rows])),
        "unread": sum(row["unread"] for row in rows),
    }


def _order(first: Sequence[Row], other_order: Sequence[Row], same_order: Sequence[Row], seed: int) -> Row:
    def classes(rows: Sequence[Row]) -> dict[str, int | None]:
        return {row["group_id"]: row["answer_class"] for row in rows}

    problem_of = {row["group_id"]: row["problem_id"] for row in first}
    changes = order_changes(classes(first), classes(other_order), classes(same_order), problem_of, seed)
    return {how: dataclasses.asdict(interval) for how, interval in changes.items()}


def _by_number_correct(rows: Sequence[Row], k: int, seed: int) -> list[Row]:
    """Return the score of each stratum, k down to 0; those that the pool could not fill are left out."""
    strata = []
    for n_correct in range(k, -1, -1):
        stratum = [row for row in rows if row["n_correct"] == n_correct]
        if stratum:
            score = bootstrap_mean([row["problem_id"] for row in stratum], [row["correct"] for row in stratum], seed)
            problems = len({row["problem_id"] for row in stratum})
            strata.append(
                {
                    "n_correct": n_correct,
                    "groups": len(stratum),
                    "problems": problems,
                    "score": dataclasses.asdict(score),
                }
            )
    return strata
