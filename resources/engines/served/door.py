"""The door of a served model: one small request before the first sample finds out what this server takes and sends."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from gsr_dagster.experiment.settings import RolloutSettings
from gsr_dagster.method.prompting.prompts import Message
from gsr_dagster.method.rejection_sampling import ended_by_itself
from resources.engines.base import EngineError
from resources.engines.served.answers import Written, written
from resources.engines.served.form import RequestForm
from resources.engines.served.refusals import AnswerError, refusal
from resources.engines.served.servers import Servers

QUESTION: list[Message] = [{"role": "user", "content": "What is 1 + 1? Answer with the number."}]
PROBE = RolloutSettings(temperature=0.7, max_new_tokens=64)
MOST_FORMS = 8

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Opened:
    """What was found: the form of a request, and whether the server sends thinking apart from the answer."""

    form: RequestForm
    thinking_apart: bool

    def __str__(self) -> str:
        form = self.form
        parts = [
            "thinking in a field of its own" if self.thinking_apart else "all text in one field",
            "several samples a request" if form.several else "one sample a request",
            f"the limit as {form.token_limit}",
            "seeds taken" if form.seed else "seeds refused, so that samples cannot be drawn again alike",
        ]
        return ", ".join(parts)


def opened(
    ask: Callable[[dict[str, Any]], Any], servers: Servers, form: RequestForm, thinking_end: str | None
) -> Opened:
    """Ask a server one question, and return what its answer tells. Raises EngineError where it takes no request."""
    form, choices = first_answer(ask, servers, form)
    apart = any(choice.thinking for choice in choices)
    refuse_unnamed_thinking(servers, choices, thinking_end)
    if thinking_end and not apart and all(_without_thinking(choice, thinking_end) for choice in choices):
        log.warning(
            "%s answered a first question without thinking, and without %r. If the model does think before it "
            "answers, thinking_end is not its marker; if it does not, leave thinking_end out: else no answer is read.",
            where(servers),
            thinking_end,
        )
    found = Opened(form, apart)
    log.info("%s: %s", where(servers), found)
    return found


def first_answer(
    ask: Callable[[dict[str, Any]], Any], servers: Servers, form: RequestForm
) -> tuple[RequestForm, list[Written]]:
    """Ask the question in one form after another, and return the first that is taken, with its answer."""
    from openai import OpenAIError

    for _ in range(MOST_FORMS):
        several = 2 if form.several else 1
        body = {"messages": QUESTION, **form.body(PROBE, PROBE.max_new_tokens, seed=1, n=several)}
        try:
            choices = written(ask(body))
            break
        except (OpenAIError, ValueError) as error:
            other = other_form(form, error) or (form.plainer() if refusal(error) else None)
            if other is None:
                address = meant_address(servers)
                raise EngineError(f"{where(servers)} takes no request: {servers.told(error)}{address}") from None
            form = other
    else:
        raise EngineError(f"{where(servers)} takes no request, in none of {MOST_FORMS} forms")
    return (form if len(choices) >= several else replace(form, several=False)), choices


def other_form(form: RequestForm, error: BaseException) -> RequestForm | None:
    """Return the form to ask in after an error; None where it says nothing against this one."""
    refused = refusal(error)
    if refused is not None:
        message, parameter, _ = refused
        return form.without(message, parameter)
    if isinstance(error, AnswerError) and not error.passing:  # a refusal with the status 200
        return form.without(str(error), None)
    return None


def meant_address(servers: Servers) -> str:
    """Return what to write where an address was given without its `/v1`, "" where that is not what is wrong."""
    for server in servers.servers:
        url = str(server.client.base_url).rstrip("/")
        if not url.endswith("/v1") and servers.models_at(server, f"{url}/v1/models") is not None:
            return f". OpenAI's API stands below that address: write base_url: {url}/v1"
    return ""


def refuse_unnamed_thinking(servers: Servers, choices: list[Written], thinking_end: str | None) -> None:
    """Raise EngineError where a server sends thinking and the experiment file names no end of it."""
    if thinking_end is None and any(choice.thinking for choice in choices):
        raise EngineError(
            f"{where(servers)} sends the model's thinking in a field of its own, and the experiment file does not "
            'say that the model thinks: add thinking_end: "</think>" to it. That marker then stands between '
            "thinking and answer, and only the answer is graded and shown to the refiner"
        )


def where(servers: Servers) -> str:
    return f"{servers.settings.model} at {', '.join(servers.settings.base_urls)}"


def _without_thinking(choice: Written, thinking_end: str) -> bool:
    return ended_by_itself(choice.finish_reason) and not choice.hidden and thinking_end not in choice.content
