"""The pages of what students learned from."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field
from starlette.responses import HTMLResponse

from gsr_dagster.experiment.keys import ArtifactKey
from gsr_dagster.operations.provenance import TaughtRow
from gsr_dagster.viewing.pages.asked import Asked, UnknownPlaceError
from gsr_dagster.viewing.pages.writing import page, problem_page
from gsr_dagster.viewing.reading.training_rows import (
    ROWS_A_PAGE,
    candidates_shown,
    learned_in,
    siblings,
    training_page,
    training_row,
)


class RowFilter(BaseModel):
    """Which rows of a training set are asked for."""

    kind: Literal["refinement", "direct", ""] = ""
    problem_id: Annotated[str, Field(max_length=500)] = ""
    page: Annotated[int, Field(ge=1, le=10**9)] = 1


def training(asked: Asked) -> HTMLResponse:
    """Return a page of a student's training rows, or the one that ``row`` names, with why it is there."""
    student, row_id = asked.path["student"], asked.query.get("row")
    if student not in asked.experiment.students:
        raise UnknownPlaceError(f"no student {student!r}; there are: {', '.join(asked.experiment.students) or 'none'}")
    if row_id is None:
        return _rows(asked, student)
    shown = training_row(asked.store, student, row_id)
    if shown is None:
        return problem_page(f"{ArtifactKey('training_sets', student)} has no row {row_id!r}.")
    taught = TaughtRow(asked.experiment, asked.store, student, shown.row)
    return page(
        "training_row",
        experiment=asked.experiment.name,
        student=student,
        shown=shown,
        taught=taught,
        why=list(taught.why()),
        candidates=candidates_shown(taught),
        beside=siblings(taught),
        learned=learned_in(taught),
        benchmarks=[name for name in asked.experiment.benchmarks if _evaluated(asked, name, student)],
    )


def _evaluated(asked: Asked, benchmark: str, student: str) -> bool:
    key = asked.experiment.evaluation_of(benchmark, student).artifact("graded_candidates")
    return asked.store.manifest(key) is not None


def _rows(asked: Asked, student: str) -> HTMLResponse:
    wanted = RowFilter.model_validate(dict(asked.query))
    found = training_page(asked.store, student, wanted.page, kind=wanted.kind, problem_id=wanted.problem_id)
    last = max(-(-found.found // ROWS_A_PAGE), 1)
    return page("training", experiment=asked.experiment.name, student=student, wanted=wanted, found=found, last=last)
