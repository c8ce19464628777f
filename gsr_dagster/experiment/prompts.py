"""How an experiment words its two prompts: in the project's words, by a published name, or by a template of one's own."""

import hashlib
from functools import cached_property, partial
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, ValidationInfo

from gsr_dagster.experiment.likeness import did_you_mean
from gsr_dagster.experiment.settings import Section, from_folder
from gsr_dagster.method.prompting.prompt_templates import (
    PromptTemplateError,
    published,
    published_prompts,
    read_template,
)
from gsr_dagster.method.prompting.prompts import (
    PROMPT_VERSION,
    DirectPrompt,
    RefinementPrompt,
    direct_request,
    refinement_request,
)

MOST_CHARACTERS = 1 << 16


def _template(shows_candidates: bool, name: str, info: ValidationInfo) -> str:
    """Return a published name as it is, and the path of a file; either can be a prompt."""
    if shows_candidates and name in published_prompts():
        return name
    path = from_folder(Path(name), info)
    if not path.is_file():
        known = published_prompts() if shows_candidates else []
        beside = [one.name for one in path.parent.iterdir()] if path.parent.is_dir() else []
        names = f", or one of {', '.join(known)}" if known else ""
        near = did_you_mean(path.name, [*known, *beside])
        raise ValueError(f"there is no file {path}{near or f': write the path of a template{names}'}")
    try:
        read_template(_text(str(path)), shows_candidates)
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not text in UTF-8") from None
    except (OSError, PromptTemplateError) as error:
        raise ValueError(f"{path}: {error}") from None
    return str(path)


DirectTemplate = Annotated[str, AfterValidator(partial(_template, False))]
RefinementTemplate = Annotated[str, AfterValidator(partial(_template, True))]


class Prompts(Section):
    """How prompts are worded, for models, teachers and students alike: Jinja templates of the user's message.

    ``direct`` shows ``{{ problem }}``; ``refinement`` shows ``{{ problem }}`` and each of ``candidates``.
    It may be a name too, ``rsa`` or ``agglm``: the published prompts, in words of our own.
    """

    direct: DirectTemplate | None = None
    refinement: RefinementTemplate | None = None

    @cached_property
    def ask_direct(self) -> DirectPrompt:
        """What writes the prompt of a direct sample."""
        return read_template(self._texts["direct"], False) if self.direct else direct_request

    @cached_property
    def ask_refinement(self) -> RefinementPrompt:
        """What writes the prompt that shows candidates."""
        return read_template(self._texts["refinement"], True) if self.refinement else refinement_request

    def version(self, stage: str) -> str:
        """Return what pins the wording of a prompt, ``direct`` or ``refinement``, for a fingerprint."""
        text = self._texts.get(stage)
        return PROMPT_VERSION if text is None else template_version(text)

    @cached_property
    def _texts(self) -> dict[str, str]:
        """The templates as they were when first asked for: what is written is what the fingerprint says."""
        return {
            stage: _text(name) for stage, name in (("direct", self.direct), ("refinement", self.refinement)) if name
        }


def named_prompt(name: str) -> tuple[RefinementPrompt, str]:
    """Return what writes a refinement prompt by its name or file, and its version."""
    text = _text(name)
    return read_template(text, True), template_version(text)


def template_version(text: str) -> str:
    return f"template {hashlib.sha256(text.strip().encode()).hexdigest()}"


def _text(name: str) -> str:
    if name in published_prompts():
        return published(name)
    with Path(name).open(encoding="utf-8") as file:
        text = file.read(MOST_CHARACTERS + 1)
    if len(text) > MOST_CHARACTERS:
        raise PromptTemplateError(f"it has more than {MOST_CHARACTERS:,} characters")
    return text
