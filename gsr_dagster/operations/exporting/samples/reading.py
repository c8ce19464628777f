"""The samples of an evaluation and the rows of a training set as others read them, with few of their texts in memory.

What is short, such as verdicts, is in memory for one evaluation, or one training set, at a time.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from assets.evaluation.evaluation_run import EvaluationRun
from assets.recorded_pools import recorded_id
from assets.teaching.judged_samples import TAUGHT_BY
from assets.teaching.teaching_run import TeachingRun
from gsr_dagster.experiment.keys import TRAINING_PROBLEMS
from gsr_dagster.method.candidate_pool import by_problem
from gsr_dagster.method.prompting.prompts import Message
from gsr_dagster.method.rows import Row
from resources.engines.base import chat_sha256
from resources.store.ordering import whole_problems

# So many samples, or a few more, are in memory with their texts.
SAMPLES_AT_ONCE = 1024
DRAWN = ("sample_index", "finish_reason", "prompt_tokens", "generated_tokens", "prompt_sha256")


def candidates(run: EvaluationRun) -> Iterator[list[Row]]:
    """Yield the graded candidates of each problem of a pool by sample index, the problems as the benchmark has them.

    ``problem_id`` is the problem's id in its benchmark. ``correct`` is None where the gold cannot be read.
    What the pool holds beyond what is graded is not there.
    """
    columns = ("candidate_id", "answer", "verdict", "correct", "answer_class")
    grades = {row["candidate_id"]: row for row in run.store.rows(run.key.artifact("graded_candidates"), *columns)}
    for problem, rows in _by_problem(run, "candidate_pools"):
        yield [
            {
                **_written(run, problem, row),
                "candidate_id": row["candidate_id"],
                "extracted_answer": grade["answer"],
                "verdict": grade["verdict"],
                "correct": None if grade["verdict"] == "gold unparseable" else grade["correct"],
                "answer_class": grade["answer_class"],
            }
            for row in rows
            if (grade := grades.get(row["candidate_id"]))
        ]


def refinements(run: EvaluationRun) -> Iterator[list[Row]]:
    """Yield the scored refinements of each problem of an evaluation, the problems as the benchmark has them.

    ``candidates`` are the texts of the candidates that it was made from, in the order in which they were shown,
    whole: with their thinking, and uncut.
    """
    columns = ("refinement_id", "group_id", "candidate_ids", "answer", "verdict", "refined", "n_correct", "vote")
    scores = {row["refinement_id"]: row for row in run.store.rows(run.key.artifact("gap_reports"), *columns)}
    pools = _by_problem(run, "candidate_pools")
    for problem, rows in _by_problem(run, "self_refinements"):
        # Both have the order of the benchmark, and whatever was refined is in the pool.
        pool = next(of_problem for one, of_problem in pools if one["problem_id"] == problem["problem_id"])
        texts = {row["candidate_id"]: row["text"] for row in pool}
        yield [
            {
                **_written(run, problem, row),
                **{name: score[name] for name in ("refinement_id", "group_id", "candidate_ids", "n_correct", "vote")},
                "candidates": [texts[name] for name in score["candidate_ids"]],
                "extracted_answer": score["answer"],
                "verdict": score["verdict"],
                "correct": score["refined"],
            }
            for row in sorted(rows, key=lambda row: (len(row["refinement_id"]), row["refinement_id"]))
            if (score := scores.get(row["refinement_id"]))
        ]


def training_rows(run: TeachingRun) -> Iterator[Row]:
    """Yield the rows of a training set, each with its problem, its teacher, and why it is there.

    ``prompt`` and ``completion`` are lists of chat messages.
    """
    key = run.key("training_sets")
    learned = list(run.store.rows(key, "kind", "problem_id", "teacher_sample_id"))
    of = {kind: _of_samples(run, kind, learned) for kind in {row["kind"] for row in learned}}
    used = {row["problem_id"] for row in learned}
    columns = ("problem_id", "problem", "answer")
    problems = {
        row["problem_id"]: row for row in run.store.rows(TRAINING_PROBLEMS, *columns) if row["problem_id"] in used
    }
    for row in run.store.rows(key):
        yield {
            **row,
            **(sample := of[row["kind"]][row["teacher_sample_id"]]),
            **problems[row["problem_id"]],
            "prompt": json.loads(row["messages"]),
            "completion": [{"role": "assistant", "content": row["completion"]}],
            "teacher": row["teacher_sample_id"].partition("/")[0],
            "why": _why(row, sample["n_correct"]),
        }


def _of_samples(run: TeachingRun, kind: str, learned: Sequence[Row]) -> dict[str, Row]:
    """Return what is told of the teacher's samples that rows of a kind were learned from, by their ids."""
    asset, id_column = TAUGHT_BY[kind]
    ids = {row["teacher_sample_id"] for row in learned if row["kind"] == kind}
    rows = run.store.rows(run.key(asset), id_column, "n_correct", "generated_tokens")
    return {
        row[id_column]: {"n_correct": row.get("n_correct"), "generated_tokens": row["generated_tokens"]}
        for row in rows
        if row[id_column] in ids
    }


def asked(run: EvaluationRun, row: Row) -> list[Message] | None:
    """Return the chat that a candidate answers, None where the experiment file asks otherwise now."""
    chat = run.direct_chat(row)
    return chat if chat_sha256(chat) == row["prompt_sha256"] else None


def _why(row: Row, n_correct: int | None) -> str:
    """Return why a row is in a training set, in words."""
    if row["kind"] == "direct":
        return "a direct solution that is right and ended by itself"
    of = f"{n_correct} of {len(row['candidate_ids'])} candidates of its group are right"
    return f"a refinement that is right and ended by itself; {of}"


def _by_problem(run: EvaluationRun, asset: str) -> Iterator[tuple[Row, list[Row]]]:
    """Yield the problems of a benchmark that an asset has samples of, each with these by sample index."""
    problems = {row["problem_id"]: row for row in run.problems()}
    for part in whole_problems(run.store, run.key.artifact(asset), SAMPLES_AT_ONCE, problems):
        of = by_problem(part)
        yield from ((problem, of[problem_id]) for problem_id, problem in problems.items() if problem_id in of)


def _written(run: EvaluationRun, problem: Row, row: Row) -> dict[str, Any]:
    """Return what a candidate's row and a refinement's share: who wrote it, of which problem, and what was drawn."""
    return {
        "model": run.subject,
        "benchmark": run.key.benchmark,
        "problem_id": recorded_id(problem["problem_id"]),
        "problem": problem["problem"],
        "answer": problem["answer"],
        "response": row["text"],
        **{name: row[name] for name in DRAWN},
    }
