"""Cards from their templates: Markdown in which every stranger's text is escaped."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from resources.reporting.markdown import code, fenced, plain

TEMPLATES = Path(__file__).parent


def rendered(template: str, **facts: Any) -> str:
    """Return a card as README.md holds it. A fact that the template names and that is not given is an error."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=False,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {"plain": plain, "code": code, "fenced": fenced, "settings": _as_json}
    return environment.get_template(template).render(**facts)


def _as_json(settings: Mapping[str, Any]) -> str:
    return code(json.dumps(settings, ensure_ascii=False))
