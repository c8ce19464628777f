"""From samples to graded rows."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby

from gsr_dagster.experiment.experiment import Model
from gsr_dagster.method.answers import answer_of
from gsr_dagster.method.prompting.prompts import summarise
from gsr_dagster.method.rows import Row, batches
from resources.grading.grader import UNIT, Grader, Reference
from resources.progress import Tracker, track
from resources.store.errors import ArtifactError

PROBLEMS_AT_ONCE = 256
# What says how a sample was drawn: it stays with the sample.
OF_DRAWING = ("seed", "prompt_sha256", "drawn_with")


def references(problems: Sequence[Row]) -> dict[str, Reference]:
    """Return what the answers of each problem are held against."""
    return {row["problem_id"]: Reference(row["answer"], row["domain"]) for row in problems}


def graded_rows(
    grader: Grader,
    label: str,
    problems: Sequence[Row],
    samples: Sequence[Row],
    model: Model,
    progress: Tracker | None = None,
) -> list[Row]:
    """Return the samples with ``summary``, ``answer``, ``verdict``, ``correct`` and ``answer_class``.

    ``progress`` is of a larger work that this is a part of.
    """
    summaries = [summarise(row["text"], model.thinking_end) for row in samples]
    golds = references(problems)
    answers = [
        answer_of(summary, golds[row["problem_id"]].domain) for row, summary in zip(samples, summaries, strict=True)
    ]
    pairs = [(row["problem_id"], answer) for row, answer in zip(samples, answers, strict=True)]
    grades = grader.grade(label, golds, pairs, progress)
    return [
        {
            **{name: value for name, value in row.items() if name not in OF_DRAWING},
            "summary": summary,
            "answer": answer,
            "verdict": grade.verdict,
            "correct": grade.correct,
            "answer_class": grade.answer_class,
        }
        for row, summary, answer, grade in zip(samples, summaries, answers, grades, strict=True)
    ]


def graded_by_problem(
    grader: Grader,
    label: str,
    problems: Sequence[Row],
    samples: Iterable[tuple[str, list[Row]]],
    total: int,
    model: Model,
) -> Iterator[list[Row]]:
    """Yield the graded samples of each problem (see ``graded_rows``), with few problems in memory.

    ``samples`` are by problem, ``total`` in all.
    """
    of = {row["problem_id"]: row for row in problems}
    with track(label, total, UNIT) as progress:
        for part in batches(samples, PROBLEMS_AT_ONCE):
            asked = [of[problem_id] for problem_id, _ in part]
            rows = [row for _, of_problem in part for row in of_problem]
            graded = graded_rows(grader, label, asked, rows, model, progress)
            yield from (list(of_problem) for _, of_problem in groupby(graded, lambda row: row["problem_id"]))


def unscored_problems(graded: Iterable[Row]) -> list[str]:
    """Return the problems whose gold cannot be read: nothing about them is right or wrong."""
    return sorted({row["problem_id"] for row in graded if row["verdict"] == "gold unparseable"})


def scored(graded: Sequence[Row]) -> list[Row]:
    """Return the rows of the problems whose gold can be read."""
    unscored = set(unscored_problems(graded))
    return [row for row in graded if row["problem_id"] not in unscored]


def scorable(graded: Sequence[Row]) -> list[Row]:
    """Return the rows of the problems whose gold can be read. Raises ArtifactError where there are none."""
    rows = scored(graded)
    if not rows:
        raise ArtifactError(f"none of {len(unscored_problems(graded))} golds can be read: nothing can be scored")
    return rows


def per_problem(rows: Iterable[Row], value: Callable[[Row], float]) -> dict[str, list[float]]:
    """Return a value of each row, those of a problem together."""
    values: dict[str, list[float]] = {}
    for row in rows:
        values.setdefault(row["problem_id"], []).append(float(value(row)))
    return values
