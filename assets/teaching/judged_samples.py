"""A teacher's samples, graded, for the choice of training rows. Their texts are long and many, and are left out."""

from collections.abc import Iterator
from hashlib import blake2b

from assets.grading import graded_rows
from assets.quality import student_prompt_tokens
from assets.teaching.teaching_run import TeachingRun
from gsr_dagster.method.rows import Row, batches
from resources.grading.grader import UNIT, Grader
from resources.progress import track

ROWS_AT_ONCE = 2048
READ = ("prompt_id", "problem_id", "sample_index", "text", "finish_reason", "prompt_tokens", "student_prompt_tokens")
KEPT = ("prompt_id", "problem_id", "sample_index", "finish_reason", "verdict", "correct")
REFINEMENTS, SOLUTIONS = ("teacher_refinements", "refinement_id"), ("teacher_solutions", "solution_id")
# By the kind of a training row the asset with its sample, and the column of that asset's ids.
TAUGHT_BY = {"refinement": REFINEMENTS, "direct": SOLUTIONS}


def judged_refinements(run: TeachingRun, label: str, grader: Grader) -> list[Row]:
    """Return the refinements that the student asks for: see ``_judged``, and ``n_correct`` of the candidates shown."""
    return list(_judged(run, label, grader, *REFINEMENTS, run.student.refiner, "n_correct"))


def judged_solutions(run: TeachingRun, label: str, grader: Grader) -> list[Row]:
    """Return the solutions that the student asks for: see ``_judged``."""
    return list(_judged(run, label, grader, *SOLUTIONS, run.student.solver))


def _judged(
    run: TeachingRun, label: str, grader: Grader, asset: str, id_column: str, teacher: str, *columns: str
) -> Iterator[Row]:
    """Yield a row for each sample of a teacher that the student asks for, without its text.

    Columns: ``sample_id``, ``prompt_id``, ``problem_id``, ``sample_index``, ``finish_reason``, ``verdict``,
    ``correct``, ``prompt_tokens`` (of the student's prompt) and ``alike``. Rows with the same prompt and text
    have the same ``alike``; it is None where the student takes identical rows more than once.
    """
    once = run.student.identical_rows == "once"
    read = (id_column, *READ, *columns, *(["messages"] if once else []))
    key, wanted, model = run.key(asset), run.student.samples(asset), run.experiment.subject_model(teacher)
    problems = {row["problem_id"]: row for row in run.problems()}
    rows = (row for row in run.store.rows(key, *read) if row["sample_index"] < wanted)
    with track(label, sum(shard.rows for shard in run.store.existing(key).shards), UNIT) as progress:
        for part in batches(rows, ROWS_AT_ONCE):
            asked = list({row["problem_id"]: problems[row["problem_id"]] for row in part}.values())
            for row, graded in zip(part, graded_rows(grader, label, asked, part, model, progress), strict=True):
                yield {
                    "sample_id": row[id_column],
                    **{name: graded[name] for name in (*KEPT, *columns)},
                    "prompt_tokens": student_prompt_tokens(row),
                    "alike": _digest(row["messages"], row["text"]) if once else None,
                }


def _digest(*texts: str) -> bytes:
    """Return a hash of texts in their order."""
    return blake2b("".join(f"{len(text)}:{text}" for text in texts).encode(), digest_size=16).digest()
