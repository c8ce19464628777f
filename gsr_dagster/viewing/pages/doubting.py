"""Doubting a verdict from its group's page, and all doubts as lines for a test of the grader."""

from urllib.parse import urlencode

from starlette.responses import PlainTextResponse, RedirectResponse, Response

from gsr_dagster.viewing.pages.asked import Asked, evaluation_path
from gsr_dagster.viewing.pages.writing import HEADERS, problem_page
from gsr_dagster.viewing.reading.doubts import LONGEST_NOTE, Doubt, as_lines, doubt
from gsr_dagster.viewing.reading.one_group import one_group


def doubted(asked: Asked) -> Response:
    """Return the doubts that stand, as JSON lines."""
    return PlainTextResponse(as_lines(asked.experiment), headers=HEADERS)


def doubt_one(asked: Asked) -> Response:
    """Keep a doubt of a verdict, or take it back where there is no note; then lead to the group again."""
    form = {name: asked.form.get(name, "") for name in ("benchmark", "subject", "group", "sample", "note")}
    key = asked.evaluation_of(form["benchmark"], form["subject"])
    group = one_group(asked.index(key), form["group"])
    samples = {} if group is None else {sample.id: sample.row for sample in group.samples}
    if group is None or form["sample"] not in samples:
        return problem_page(f"{key.partition} has no sample {form['sample']!r} in a group {form['group']!r}.")
    row, problem = samples[form["sample"]], group.problem
    doubt(
        asked.experiment,
        Doubt(
            lane=key.lane,
            benchmark=key.benchmark,
            subject=key.subject,
            sample_id=form["sample"],
            problem_id=problem["problem_id"],
            domain=problem["domain"],
            gold=problem["answer"],
            answer=row["answer"],
            verdict=row["verdict"],
            note=form["note"].strip()[:LONGEST_NOTE] or None,
        ),
    )
    address = f"/{asked.experiment.name}/group/{evaluation_path(key)}?{urlencode({'id': group.row['group_id']})}"
    return RedirectResponse(address, 303)
