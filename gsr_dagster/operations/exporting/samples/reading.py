"""The samples of an evaluation and the rows of a training set as others read them, with few of them in memory.

They come in the order of their problems. DuckDB sorts their shards, on disk where they are many.
"""

import json
from collections.abc import Iterator
from itertools import groupby

from assets.evaluation.evaluation_run import EvaluationRun
from assets.teaching.teaching_run import TeachingRun
from assets.teaching.training_sets import TrainingSetCounts
from gsr_dagster.method.prompting.prompts import Message
from gsr_dagster.method.rows import Row
from resources.engines.base import chat_sha256
from resources.store.ordering import sorted_rows

CANDIDATES = """
    select candidate_id, pool.problem_id, pool.sample_index, pool.text as response, pool.finish_reason,
        pool.prompt_tokens, pool.generated_tokens, pool.prompt_sha256, answer as extracted_answer, verdict,
        case when verdict != 'gold unparseable' then correct end as correct, answer_class
    from pool join graded using (candidate_id) order by pool.problem_id, pool.sample_index"""
REFINEMENTS = """
    select refinement_id, written.prompt_id as group_id, written.problem_id, written.candidate_ids,
        written.text as response, finish_reason, prompt_tokens, generated_tokens, answer as extracted_answer, verdict,
        refined as correct, n_correct, vote
    from written join scored using (refinement_id) order by written.problem_id, length(group_id), group_id"""
TAUGHT = """
    select row_id, kind, learned.problem_id, learned.candidate_ids, learned.messages, completion, teacher_sample_id,
        n_correct, generated_tokens
    from learned join ({samples}) on id = teacher_sample_id order by learned.problem_id, row_id"""
# Where the teacher's samples of a kind of row are, with what stands of their groups.
TAUGHT_BY = {
    "refinement": "select refinement_id as id, n_correct, generated_tokens from refinements",
    "direct": "select solution_id as id, null::bigint as n_correct, generated_tokens from solutions",
}


def candidates(run: EvaluationRun) -> Iterator[Row]:
    """Yield the graded candidates of a pool, by problem and sample index, each with its problem.

    ``correct`` is None where the gold cannot be read. What the pool holds beyond what is graded is not there.
    """
    pool, graded = (run.store.local_shards(run.key.artifact(name)) for name in ("candidate_pools", "graded_candidates"))
    yield from _with_problems(run, sorted_rows(CANDIDATES, pool=pool, graded=graded))


def refinements(run: EvaluationRun) -> Iterator[Row]:
    """Yield the scored refinements of an evaluation, by problem and group, each with its problem.

    ``candidates`` are the texts of the candidates that it was made from, in the order in which they were shown,
    whole: with their thinking, and uncut.
    """
    yield from _with_problems(run, _with_candidates(run))


def _with_candidates(run: EvaluationRun) -> Iterator[Row]:
    written, scored = (run.store.local_shards(run.key.artifact(name)) for name in ("self_refinements", "gap_reports"))
    refined = groupby(sorted_rows(REFINEMENTS, written=written, scored=scored), lambda row: row["problem_id"])
    pools = groupby(candidates(run), lambda row: row["problem_id"])
    for problem_id, rows in refined:
        # Both are in the order of their problems, and whatever was refined is in the pool.
        pool = next(of_problem for name, of_problem in pools if name == problem_id)
        texts = {row["candidate_id"]: row["response"] for row in pool}
        yield from ({**row, "candidates": [texts[name] for name in row["candidate_ids"]]} for row in rows)


def asked(run: EvaluationRun, row: Row) -> list[Message] | None:
    """Return the chat that a candidate answers, None where the experiment file asks otherwise now."""
    chat = run.direct_chat(row)
    return chat if chat_sha256(chat) == row["prompt_sha256"] else None


def training_rows(run: TeachingRun) -> Iterator[Row]:
    """Yield the rows of a training set, by problem, each with its problem, its teacher, and why it is there.

    ``prompt`` and ``completion`` are lists of chat messages.
    """
    counts = run.store.summary(run.key("training_sets"), TrainingSetCounts)
    kinds = {"refinement": counts.refinement_rows, "direct": counts.direct_rows}
    shards = {"refinement": ("refinements", "teacher_refinements"), "direct": ("solutions", "teacher_solutions")}
    taken = [kind for kind, rows in kinds.items() if rows]
    if not taken:
        return
    query = TAUGHT.format(samples=" union all ".join(TAUGHT_BY[kind] for kind in taken))
    views = {view: run.store.local_shards(run.key(asset)) for view, asset in (shards[kind] for kind in taken)}
    problems = {row["problem_id"]: row for row in run.problems()}
    views["learned"] = run.store.local_shards(run.key("training_sets"))
    for row in sorted_rows(query, None, **views):
        problem = problems[row["problem_id"]]
        yield {
            **row,
            "problem": problem["problem"],
            "answer": problem["answer"],
            "prompt": json.loads(row["messages"]),
            "completion": [{"role": "assistant", "content": row["completion"]}],
            "teacher": row["teacher_sample_id"].partition("/")[0],
            "why": _why(row),
        }


def _why(row: Row) -> str:
    """Return why a row is in a training set, in words."""
    if row["kind"] == "direct":
        return "a direct solution that is right and ended by itself"
    of = f"{row['n_correct']} of {len(row['candidate_ids'])} candidates of its group are right"
    return f"a refinement that is right and ended by itself; {of}"


def _with_problems(run: EvaluationRun, rows: Iterator[Row]) -> Iterator[Row]:
    problems = {row["problem_id"]: row for row in run.problems()}
    for row in rows:
        problem = problems[row["problem_id"]]
        of = {"problem": problem["problem"], "answer": problem["answer"], "domain": problem["domain"]}
        yield {"model": run.subject, "benchmark": run.key.benchmark, **of, **row}
