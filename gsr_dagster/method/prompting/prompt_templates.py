r"""Prompts of one's own: Jinja templates of a problem, and of the candidates that a refinement reads.

>>> read_template("{{ problem }}\n{% for one in candidates %}({{ loop.index }}) {{ one }}\n{% endfor %}Better?", True)(
...     "1 + 1?", ["2", "3"]
... )
'1 + 1?\n(1) 2\n(2) 3\nBetter?'
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from jinja2 import StrictUndefined, TemplateError, TemplateSyntaxError, meta
from jinja2.sandbox import ImmutableSandboxedEnvironment

PUBLISHED = Path(__file__).parent / "published_prompts"
# What filters would change: letters of both cases, markup, quotes, line ends, indents. No space stands around it, as
# none does around a candidate.
PROBE = 'Aa <b>"{number}"</b> & \\frac{{1}}{{2}}\n\n   {{{{ x }}}} zZ{number}'
TRIED = (1, 2, 3)


class PromptTemplateError(ValueError):
    """A template cannot be a prompt; the message says why, and what would be right."""


def published_prompts() -> list[str]:
    """Return the names of the prompts that come with the package."""
    return sorted(path.stem for path in PUBLISHED.glob("*.j2"))


def published(name: str) -> str:
    """Return the template of a published prompt."""
    return (PUBLISHED / f"{name}.j2").read_text(encoding="utf-8")


def read_template(source: str, shows_candidates: bool) -> Callable[..., str]:
    """Return what writes a prompt from a problem, and from its candidates where it shows them.

    Space around the template is no part of it. It is rendered in a sandbox. Raises PromptTemplateError
    where it is no template, asks for other variables, or does not show the problem, and each
    candidate once and in their order, just as they are, for one, two and three candidates.
    """
    names = ["problem", *(["candidates"] if shows_candidates else [])]
    environment = ImmutableSandboxedEnvironment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    try:
        template = environment.from_string(source.strip())
        asked = meta.find_undeclared_variables(environment.parse(source))
    except TemplateSyntaxError as error:
        raise PromptTemplateError(f"line {error.lineno}: {error.message}") from None
    if unknown := sorted(asked - {*names}):
        raise PromptTemplateError(f"it asks for {', '.join(unknown)}: a prompt of this kind has {' and '.join(names)}")
    if missing := [name for name in names if name not in asked]:
        raise PromptTemplateError(f"it does not show {missing[0]}: {_shown_by(missing[0])}")

    def write(problem: str, candidates: Sequence[str] = ()) -> str:
        return template.render(problem=problem, **({"candidates": list(candidates)} if shows_candidates else {}))

    for number in TRIED if shows_candidates else (0,):
        _try(write, number)
    return write


def _try(write: Callable[..., str], number: int) -> None:
    problem, *candidates = [PROBE.format(number=i) for i in range(number + 1)]
    try:
        text = write(problem, candidates)
    except (TemplateError, ArithmeticError, LookupError, TypeError, ValueError) as error:
        raise PromptTemplateError(f"it cannot be written for {number} candidates: {error}") from None
    if problem not in text:
        raise PromptTemplateError(f"it does not show the problem as it is, or not always: {_shown_by('problem')}")
    if any(text.count(one) != 1 for one in candidates):
        raise PromptTemplateError(
            f"of {number} candidates it does not show each once and as it is: {_shown_by('candidates')}"
        )
    places = [text.index(one) for one in candidates]
    if places != sorted(places):
        raise PromptTemplateError(f"it does not show the candidates in their order: {_shown_by('candidates')}")
    if any(end == place + len(one) for place, one, end in zip(places, candidates, places[1:], strict=False)):
        raise PromptTemplateError("nothing stands between two candidates: a line, or a number, tells them apart")


def _shown_by(name: str) -> str:
    if name == "problem":
        return "write {{ problem }}, without a filter"
    return "write {% for candidate in candidates %} … {{ candidate }} … {% endfor %}, without a filter"
