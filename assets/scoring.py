"""From samples to grades, groups and the summary of a gap report: plain functions on rows."""

import dataclasses
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from pydantic import BaseModel

from gsr_dagster.experiment import Experiment, Model
from gsr_dagster.method.answers import final_answer
from gsr_dagster.method.diagnostics import Refinement, refiner_diagnostics
from gsr_dagster.method.groups import Group, candidate_groups
from gsr_dagster.method.intervals import Interval, bootstrap_mean
from gsr_dagster.method.prompts import summarise
from gsr_dagster.method.refinement_gap import (
    ByCorrect,
    by_correct,
    equal_cost,
    fresh_sample_control,
    gap_parts,
    refinement_gap,
)
from gsr_dagster.method.scores import Graded, GroupScore, pool_scores, score_group
from resources.artifacts import ArtifactError
from resources.grader import GOLD_CLASS, Grader, Question
from resources.rows import Row


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


def unscored_problems(graded: Iterable[Row]) -> list[str]:
    """Return the problems whose gold cannot be read: nothing about them is right or wrong."""
    return sorted({row["problem_id"] for row in graded if row["verdict"] == "gold unparseable"})


def scored(graded: Sequence[Row]) -> list[Row]:
    """Return the rows of the problems whose gold can be read."""
    unscored = set(unscored_problems(graded))
    return [row for row in graded if row["problem_id"] not in unscored]


def in_order(rows: Sequence[Row]) -> list[Row]:
    """Return samples by problem and sample index."""
    return sorted(rows, key=lambda row: (row["problem_id"], row["sample_index"]))


def by_problem(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Return the rows of each problem by sample index."""
    problems: dict[str, list[Row]] = defaultdict(list)
    for row in in_order(rows):
        problems[row["problem_id"]].append(row)
    return problems


def pool_groups(experiment: Experiment, subject: str, graded: Sequence[Row]) -> Iterator[tuple[str, Group, list[Row]]]:
    """Yield every group of a pool: its id (SUBJECT/PROBLEM/gNUMBER), the group, its problem's rows by index."""
    for problem_id, rows in by_problem(graded).items():
        for group in candidate_groups(problem_id, len(rows), experiment.k, experiment.seed):
            yield f"{subject}/{group.id}", group, rows


def score_groups(
    experiment: Experiment, subject: str, graded: Sequence[Row], refined: Sequence[Row]
) -> tuple[list[GroupScore], list[Row]]:
    """Return the scores of every group of the scored problems, and the rows of the gap report."""
    refinements = {row["prompt_id"]: row for row in refined}
    groups, rows = [], []
    for group_id, group, candidates in pool_groups(experiment, subject, scored(graded)):
        refinement = refinements[group_id]
        score = score_group(group, [as_graded(row) for row in candidates], as_graded(refinement))
        groups.append(score)
        named = {name: refinement[name] for name in ("refinement_id", "candidate_ids", "answer", "verdict")}
        rows.append({**vars(score), "group_id": group_id, **named})
    return groups, rows


def as_graded(row: Row) -> Graded:
    return Graded(row["correct"], row["answer_class"], row["generated_tokens"])


def group_intervals(groups: Sequence[GroupScore], seed: int) -> dict[str, Interval]:
    """Return voting, refining and their gap on the same groups, each with its interval over problems."""
    of_group = [group.problem_id for group in groups]
    return {
        "maj_at_k": bootstrap_mean(of_group, [group.vote for group in groups], seed),
        "self_ref_at_k": bootstrap_mean(of_group, [float(group.refined) for group in groups], seed),
        "refinement_gap": refinement_gap(groups, seed),
    }


def _stratum(stratum: ByCorrect, groups: Sequence[GroupScore], seed: int) -> dict[str, Any]:
    intervals = group_intervals([group for group in groups if group.n_correct == stratum.n_correct], seed)
    as_rows = {name: dataclasses.asdict(interval) for name, interval in intervals.items()}
    return {**dataclasses.asdict(stratum), "intervals": as_rows}


class GapScores(BaseModel, extra="allow"):
    """What tables show of a gap report's summary, as ``gap_summary`` makes it."""

    pass_at_1: float
    pass_at_k: float
    maj_at_k: float
    self_ref_at_k: float
    refinement_gap: float
    intervals: dict[str, Interval]


def gap_summary(
    experiment: Experiment, graded: Sequence[Row], groups: Sequence[GroupScore], overlapping: Collection[str] = ()
) -> dict[str, Any]:
    """Return the scores of a gap report: fractions with intervals, the gap's parts and controls, mean tokens.

    ``pool_maj_at_k`` and ``pool_pass_at_k`` are lists over k = 1..n, over all k-subsets
    of a problem's samples. Where some problems are ``overlapping`` with training problems,
    ``by_overlap`` holds the scores of these and of the clean ones apart. Raises
    ArtifactError where no problem can be scored.
    """
    pool = {problem_id: [as_graded(row) for row in rows] for problem_id, rows in by_problem(scored(graded)).items()}
    if not pool:
        raise ArtifactError(f"none of {len(unscored_problems(graded))} golds can be read: nothing can be scored")
    k, seed = experiment.k, experiment.seed
    curves = {problem_id: pool_scores(samples) for problem_id, samples in pool.items()}
    pass_at_k, maj_at_k = (np.array(curve) for curve in zip(*curves.values(), strict=True))
    correct = {problem_id: (sum(s.correct for s in samples), len(samples)) for problem_id, samples in pool.items()}
    fresh = fresh_sample_control(groups, correct, k, seed)
    pool_maj = maj_at_k.mean(axis=0)
    chances = {problem_id: pass_curve for problem_id, (pass_curve, _) in curves.items()}
    touched = chances.keys() & set(overlapping)
    sides = {"clean": chances.keys() - touched, "overlapping": touched} if touched else {}
    return {
        **_scores(chances, groups, k, seed),
        **({"by_overlap": {n: _scores(chances, groups, k, seed, s) for n, s in sides.items() if s}} if sides else {}),
        "unscored_problems": len(unscored_problems(graded)),
        "k": k,
        "parts": dataclasses.asdict(gap_parts(groups)),
        "by_correct": [_stratum(stratum, groups, seed) for stratum in by_correct(groups, k)],
        "fresh_sample": fresh and dataclasses.asdict(fresh),
        "equal_cost": dataclasses.asdict(equal_cost(groups, k, pool_maj)),
        "pool_maj_at_k": pool_maj.tolist(),
        "pool_pass_at_k": pass_at_k.mean(axis=0).tolist(),
        "tokens_per_candidate": sum(s.generated_tokens for p in pool.values() for s in p)
        / sum(map(len, pool.values())),
        "tokens_per_vote": sum(g.candidate_tokens for g in groups) / len(groups),
        "tokens_per_refined_group": sum(g.candidate_tokens + g.refinement_tokens for g in groups) / len(groups),
    }


def gap_diagnostics(
    experiment: Experiment,
    subject: str,
    grader: Grader,
    problems: Sequence[Row],
    graded: Sequence[Row],
    refined: Sequence[Row],
) -> dict[str, Any]:
    """Return what the refiner does with the candidates it is shown: rates 0..1 with intervals, None where none can tell."""
    # One call, so that the answers of both are numbered together; the grader knows them all by now, or soon.
    questions = {row["problem_id"]: Question(row["answer"], row["domain"]) for row in problems}
    answers = [(row["problem_id"], row["answer"]) for row in (*graded, *refined)]
    classes = iter([grade.answer_class for grade in grader.grade(f"diagnostics {subject}", questions, answers)])
    of_candidate = {row["candidate_id"]: next(classes) for row in graded}
    of_refinement = {row["prompt_id"]: next(classes) for row in refined}
    refinements = {row["prompt_id"]: row for row in refined}
    beside = []
    for group_id, group, rows in pool_groups(experiment, subject, scored(graded)):
        members = [rows[index] for index in group.indices]
        beside.append(
            Refinement(
                problem_id=group.problem_id,
                summary=refinements[group_id]["summary"],
                answer_class=of_refinement[group_id],
                shown=tuple(row["summary"] for row in members),
                shown_classes=tuple(of_candidate[row["candidate_id"]] for row in members),
                correct_class=GOLD_CLASS,
                truncated=refinements[group_id]["finish_reason"] == "length",
            )
        )
    rates = refiner_diagnostics(beside, experiment.seed)
    return {name: rate and dataclasses.asdict(rate) for name, rate in rates.items()}


def _scores(
    chances: Mapping[str, np.ndarray],
    groups: Sequence[GroupScore],
    k: int,
    seed: int,
    among: Collection[str] | None = None,
) -> dict[str, Any]:
    """Return the scores with intervals, of all problems or of those ``among`` them. ``chances`` is pass@1..n by problem."""
    problems = [problem_id for problem_id in chances if among is None or problem_id in among]
    counted = [group for group in groups if among is None or group.problem_id in among]
    intervals = {
        "pass_at_1": bootstrap_mean(problems, [float(chances[p][0]) for p in problems], seed),
        "pass_at_k": bootstrap_mean(problems, [float(chances[p][k - 1]) for p in problems], seed),
        **group_intervals(counted, seed),
    }
    return {
        "problems": len(problems),
        "groups": len(counted),
        **{name: interval.estimate for name, interval in intervals.items()},
        "intervals": {name: dataclasses.asdict(interval) for name, interval in intervals.items()},
    }
