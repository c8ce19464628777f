"""The aggregations of the same groups beside the vote: row by row, and summed up.

A row is what ``group_row`` of gsr_dagster/experiment/aggregations/base.py makes, with
``answer_class``, numbered over all rows of a problem.
"""

import dataclasses
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import dagster as dg
import numpy as np

from assets.grading import references
from gsr_dagster.experiment.aggregations import ALWAYS_AGGREGATED, MAJORITY, SELF_REFINEMENT
from gsr_dagster.experiment.aggregations.base import BASE_REFINEMENT, BASE_VOTE, OWN_VOTE, group_row, voted_row
from gsr_dagster.experiment.experiment import Experiment, Model
from gsr_dagster.method.candidate_pool import CandidatePool
from gsr_dagster.method.rows import Row
from gsr_dagster.method.scoring.aggregation_summary import AggregationScore, AggregationSummary, token_means
from gsr_dagster.method.scoring.intervals import bootstrap_mean
from gsr_dagster.method.scoring.tokens import Tokens
from resources.grading.grader import Grader
from resources.reporting.numbers import between, points

# A candidate pool, and the rows of its gap report.
PoolAndGaps = tuple[CandidatePool, Sequence[Row]]


def aggregated_rows(
    experiment: Experiment,
    pool: CandidatePool,
    model: Model,
    grader: Grader,
    problems: Sequence[Row],
    gaps: Sequence[Row],
    named: Mapping[str, Sequence[Row]],
    base: PoolAndGaps | None = None,
) -> list[Row]:
    """Return the rows of the vote, of one refinement, and of every named aggregation.

    ``pool`` holds the candidates of the problems that can be scored, ``gaps`` the gap
    report's rows, ``named`` each aggregation's samples or scores, ``base`` the pool and the gap
    report's rows of a student's base, where an aggregation answers its groups.
    """
    pool = dataclasses.replace(pool, domain=problems[0]["domain"])  # a benchmark has one
    rows = list(_always(pool, gaps))
    if base is not None:
        names = {MAJORITY: BASE_VOTE, SELF_REFINEMENT: BASE_REFINEMENT}
        rows += ({**row, "aggregation": names[row["aggregation"]]} for row in _always(*base))
    for name, made in named.items():
        aggregation = experiment.aggregations[name]
        refiner = experiment.models[aggregation.refiner] if aggregation.refiner else model
        answered = dataclasses.replace(base[0], domain=pool.domain) if base and aggregation.of_base else pool
        rows += aggregation.rows(name, answered, made, refiner.thinking_end)
    answers = [(row["problem_id"], row["answer"]) for row in rows]
    grades = grader.grade(f"aggregations {pool.subject}", references(problems), answers)
    for row, grade in zip(rows, grades, strict=True):
        row["answer_class"] = grade.answer_class
        if row["correct"] is None:
            row["correct"] = float(grade.correct)
    return rows


def _always(pool: CandidatePool, gaps: Sequence[Row]) -> Iterator[Row]:
    """Yield the vote of each group, and its refinement from the gap report's rows, where it has one."""
    by_group = {row["group_id"]: row for row in gaps}
    for group, members in pool.groups:
        yield voted_row(MAJORITY, group, members)
        gap = by_group.get(group.id)
        if gap is None:  # recorded samples that nobody refined
            continue
        # A gap report that was made before prompts were counted lacks them.
        drawn = Tokens(gap["refinement_tokens"], gap.get("refinement_prompt_tokens"))
        yield group_row(SELF_REFINEMENT, group, members, float(gap["refined"]), answer=gap["answer"], drawn=drawn)


def summarise_aggregations(experiment: Experiment, rows: Sequence[Row]) -> AggregationSummary:
    """Return every aggregation's score, its difference to the vote on the same groups, and its cost."""
    k, seed = experiment.k, experiment.seed
    names = (*ALWAYS_AGGREGATED, BASE_VOTE, BASE_REFINEMENT, *experiment.aggregations)
    by_name: dict[str, list[Row]] = {name: [] for name in names}
    for row in rows:
        by_name.setdefault(row["aggregation"], []).append(row)
    vote = {row["group_id"]: row["correct"] for row in by_name[MAJORITY]}
    groups = len(vote)
    for name in experiment.aggregations:
        vote |= {row["group_id"]: row["correct"] for row in by_name.get(name + OWN_VOTE, ())}
    scores = [_score(name, name, by_name[name], vote, seed) for name in ALWAYS_AGGREGATED if by_name[name]]
    figures: dict[str, dict[str, Any]] = defaultdict(dict)
    for name, aggregation in experiment.aggregations.items():
        if aggregation.paired and by_name[name]:
            scores.append(_score(name, aggregation.kind, by_name[name], vote, seed))
        for figure, value in aggregation.figures(name, by_name, k, seed).items():
            figures[figure][name] = value
    own = {figure: figures.pop(figure, {}) for figure in ("planned", "order", "crossed", "populations", "points")}
    return AggregationSummary(groups, scores, **own, further=dict(figures))


def score_table(scores: Sequence[AggregationScore]) -> dg.MetadataValue:
    """Return the aggregations for the page, in percent and points."""
    return dg.MetadataValue.table(
        [
            dg.TableRecord(
                {
                    "aggregation": score.aggregation,
                    "score": f"{100 * score.score.estimate:.1f} {between(score.score)}",
                    "minus majority": "–"
                    if score.difference is None
                    else f"{points(score.difference.estimate)} {between(score.difference)}",
                    "tokens": round(score.tokens),
                }
            )
            for score in scores
        ]
    )


def _score(name: str, kind: str, rows: Sequence[Row], vote: Mapping[str, float], seed: int) -> AggregationScore:
    problems = [row["problem_id"] for row in rows]
    gains = [row["correct"] - vote[row["group_id"]] for row in rows]
    return AggregationScore(
        aggregation=name,
        kind=kind,
        score=bootstrap_mean(problems, [row["correct"] for row in rows], seed),
        difference=None if name == MAJORITY else bootstrap_mean(problems, gains, seed),
        **token_means(rows),
        scored_tokens=float(np.mean([row["scored_tokens"] for row in rows])),
        unread=sum(row["unread"] for row in rows),
    )
