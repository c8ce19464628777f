"""How pages are written: by templates that escape whatever a model or a stranger wrote."""

import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.responses import HTMLResponse

from gsr_dagster.viewing.pages.mathematics import formula, rendered
from resources.reporting.numbers import between, percent, points

# What only TeX has.
TEX = re.compile(r"[\\^_]")
TEMPLATES = Path(__file__).parent / "templates"
# A text of a model loads nothing and runs nothing, whatever it holds. The one script is the viewer's own.
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; img-src data:; style-src 'self'; script-src 'self'; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "same-origin",  # without one a browser does not say that a form is of this site
    "X-Content-Type-Options": "nosniff",
}


def page(template: str, status: int = 200, /, **shown: Any) -> HTMLResponse:
    """Return a page of a template."""
    return HTMLResponse(templates().get_template(f"{template}.html.j2").render(shown), status, HEADERS)


def problem_page(message: str, status: int = 404) -> HTMLResponse:
    """Return a page that says why there is nothing to show."""
    return page("problem", status, message=message)


@lru_cache(maxsize=1)
def templates() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(mathematics=rendered, percent=percent, points=points, between=between, answer=answer)
    environment.globals.update(vote=vote)
    return environment


def answer(text: str | None) -> Markup | str:
    """Return an answer, as a formula where it is TeX: answers stand without delimiters."""
    if text is None:
        return "no answer"
    return (formula(text) if TEX.search(text) else None) or text


def vote(row: Mapping[str, Any]) -> str:
    """Return how the vote of a group came out.

    >>> [vote({"vote": value}) for value in (1.0, 0.5, 0.0)]
    ['right', 'right by 1/2', 'wrong']
    """
    return {1.0: "right", 0.0: "wrong"}.get(row["vote"]) or f"right by 1/{round(1 / row['vote'])}"
