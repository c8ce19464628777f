"""The viewer: report.html of every experiment, for a browser.

GET /               every experiment, and whether its report is there
GET /demo/report    the report of the experiment demo
"""

from collections.abc import Sequence
from html import escape

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route

from assets.reports.fingerprints import StudentComparison
from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.operations.home import artifact_store
from resources.store.errors import ArtifactError

PAGE = '<!doctype html><html lang="en"><meta charset="utf-8"><title>gsr view</title><body>{}</body></html>'
# A report stands alone: what a model wrote into it loads nothing and runs nothing.
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; img-src data:; style-src 'unsafe-inline'",
    "X-Content-Type-Options": "nosniff",
}


def viewer(experiments: Sequence[Experiment]) -> Starlette:
    """Return the web application that shows the experiments' reports as they are at each request."""
    by_name = {experiment.name: experiment for experiment in experiments}

    async def index(request: Request) -> HTMLResponse:
        lines = [f'<li><a href="/{escape(name)}/report">{escape(name)}</a></li>' for name in by_name]
        return _page("<h1>Reports</h1><ul>" + "".join(lines) + "</ul>")

    async def report(request: Request) -> HTMLResponse:
        name = request.path_params["experiment"]
        if name not in by_name:
            return _page(f"<p>No experiment {escape(name)} is shown here: {escape(', '.join(by_name))}.</p>", 404)
        try:
            return HTMLResponse(await run_in_threadpool(read_report, by_name[name]), headers=HEADERS)
        except ArtifactError as error:
            return _page(f"<p>{escape(str(error))}. <code>gsr run</code> writes the report at its end.</p>", 404)

    return Starlette(routes=[Route("/", index), Route("/{experiment}/report", report)])


def read_report(experiment: Experiment) -> bytes:
    """Return report.html of an experiment. Raises ArtifactError where it was not made, or is damaged."""
    return (artifact_store(experiment).local_files(StudentComparison(experiment).key()) / "report.html").read_bytes()


def _page(content: str, status: int = 200) -> HTMLResponse:
    return HTMLResponse(PAGE.format(content), status, HEADERS)
