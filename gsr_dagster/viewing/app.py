"""The viewer: what the models wrote, and report.html, of every experiment, for a browser.

GET  /                                        every experiment
GET  /demo                                    benchmarks × models, and the training sets
GET  /demo/report                             report.html
GET  /demo/groups/lines/smollm2-135m          the groups of an evaluation, filtered and sorted by the address
GET  /demo/group/lines/smollm2-135m           one group: ?id=GROUP
GET  /demo/training/smollm2-135m-gsr          what a student learned from; one row by ?row=ID
GET  /demo/doubts                             the verdicts that a reader doubts, as JSON lines
POST /demo/doubts                             doubt one, or take it back
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import duckdb
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from assets.reports.fingerprints import StudentComparison
from gsr_dagster.experiment.errors import UserError
from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.operations.locations.viewer_links import viewer_url
from gsr_dagster.operations.serving import OWN_NAMES, of_this_site
from gsr_dagster.viewing.pages.asked import Asked
from gsr_dagster.viewing.pages.doubting import doubt_one, doubted
from gsr_dagster.viewing.pages.groups import group, groups, overview
from gsr_dagster.viewing.pages.training import training
from gsr_dagster.viewing.pages.writing import HEADERS, page, problem_page
from gsr_dagster.viewing.reading.doubts import doubts, in_words
from gsr_dagster.viewing.reading.group_index import GroupIndexes

STATIC = Path(__file__).parent / "pages" / "static"
# The report's style stands in it.
REPORT_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"

Shown = Callable[[Asked], Response]


def viewer(experiments: Sequence[Experiment]) -> Starlette:
    """Return the web application that shows the experiments' artifacts as they are at each request."""
    by_name = {experiment.name: experiment for experiment in experiments}
    indexes = GroupIndexes()

    def of_experiment(path: str, show: Shown, method: str = "GET") -> Route:
        async def answer(request: Request) -> Response:
            name = request.path_params["experiment"]
            if name not in by_name:
                return problem_page(f"No experiment {name} is shown here: {', '.join(by_name)}.")
            if method == "POST" and not _of_this_site(request):
                return problem_page("Another site sent this form.", 403)
            form = dict(parse_qsl((await request.body()).decode(errors="replace"))) if method == "POST" else {}
            asked = Asked(by_name[name], indexes, request.path_params, dict(request.query_params), form)
            return await run_in_threadpool(_shown, show, asked)

        return Route(f"/{{experiment}}{path}", answer, methods=[method])

    async def index(request: Request) -> HTMLResponse:
        return page("experiments", experiments=list(by_name))

    return Starlette(
        routes=[
            Route("/", index),
            Mount("/static", StaticFiles(directory=STATIC)),
            of_experiment("", overview),
            of_experiment("/report", report),
            of_experiment("/groups/{benchmark}/{subject}", groups),
            of_experiment("/group/{benchmark}/{subject}", group),
            of_experiment("/training/{student}", training),
            of_experiment("/doubts", doubted),
            of_experiment("/doubts", doubt_one, "POST"),
        ],
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=_hosts(), www_redirect=False)],
    )


def report(asked: Asked) -> HTMLResponse:
    """Return report.html as it is stored, below a line that leads to what the models wrote."""
    stored = (asked.store.local_files(StudentComparison(asked.experiment).key()) / "report.html").read_text("utf-8")
    head, body, rest = stored.partition("<body>")
    links = [f'<a href="/{asked.experiment.name}">What the models wrote</a>']
    if doubted := len(doubts(asked.experiment)):
        links.append(f'<a href="/{asked.experiment.name}/doubts">{in_words(doubted)}</a>')
    line = f"<p>{' · '.join(links)}</p>" if body else ""
    return HTMLResponse(head + body + line + rest, headers={**HEADERS, "Content-Security-Policy": REPORT_POLICY})


def _hosts() -> list[str]:
    """Return the names under which the viewer answers: this machine's, and the one that $GSR_VIEW_URL gives it."""
    return [*OWN_NAMES, *filter(None, [urlsplit(viewer_url() or "").hostname])]


def _of_this_site(request: Request) -> bool:
    """Return whether a form comes from a page of this viewer: browsers name the site that sends one."""
    origin = request.headers.get("origin")
    return origin is not None and of_this_site(origin, request.headers.get("host"))


def _shown(show: Shown, asked: Asked) -> Response:
    try:
        return show(asked)
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        return problem_page(f"The address asks for what there cannot be: {faults}.", 400)
    except UserError as error:
        return problem_page(f"{error}. gsr run makes what is missing.")
    except duckdb.Error as error:  # a shard went while it was read
        return problem_page(f"The artifacts changed meanwhile: load this page again. {error}", 503)
