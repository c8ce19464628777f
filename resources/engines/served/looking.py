"""Looking at a server before there is an experiment: its address, its models, its context, whether its model thinks.

look("gpu-box:8000", None)
Looked(url="http://gpu-box:8000/v1", model="Qwen/QwQ-32B", context=40960, thinking_end="</think>")
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from gsr_dagster.experiment.engines import ADDED, OpenAI
from gsr_dagster.experiment.likeness import did_you_mean
from gsr_dagster.experiment.settings import RolloutSettings
from gsr_dagster.method.rejection_sampling import cut_off
from resources.engines.base import EngineError
from resources.engines.served.answers import DEFAULT_END, Written, written
from resources.engines.served.door import QUESTION, first_answer
from resources.engines.served.form import RequestForm
from resources.engines.served.model import ServedModel
from resources.engines.served.servers import Servers

RIGHT = "as in http://localhost:8000/v1"
# What people copy with an address.
ENDINGS = (*ADDED, "/models")
MOST_LISTED = 20
# A model that thinks within its text is let think to its end.
LONG_ENOUGH = 2048
SECONDS = 120.0


@dataclass(frozen=True)
class Looked:
    """What was found: the address that answers, the model, its context and what ends its thinking, None where unknown."""

    url: str
    model: str
    context: int | None = None
    thinking_end: str | None = None


def look(address: str, model: str | None) -> Looked:
    """Return what a server is. Raises EngineError that says what would be right, where it cannot be used."""
    url, models = _models_at(address)
    name = _chosen(url, models, model)
    settings = OpenAI(kind="openai", base_url=url, model=name, timeout=SECONDS, retries=1)
    served = ServedModel(settings, None, None, {})
    try:
        context = served.listed.context
        return Looked(url, name, context, _thinking_end(served, context))
    finally:
        served.servers.close()


def addresses(address: str) -> Iterator[str]:
    """Yield what an address may mean: as it is written, with http:// in front, and with the /v1 that most servers have."""
    url = address.strip().rstrip("/")
    for ending in ENDINGS:
        url = url.removesuffix(ending)
    if "://" not in url:
        url = f"http://{url}"
    yield url
    if not url.endswith("/v1"):
        yield f"{url}/v1"


def _models_at(address: str) -> tuple[str, list[str] | None]:
    """Return the address that answers and the models that it lists, None where it lists none."""
    import httpx
    from openai import APIConnectionError, APIStatusError, OpenAIError

    url = ""
    for url in addresses(address):
        try:
            servers = Servers(OpenAI(kind="openai", base_url=url, model="?", timeout=SECONDS))
        except ValidationError as error:
            said = error.errors()[0]["msg"].removeprefix("Value error, ")
            raise EngineError(f"--server: {said}") from None
        try:
            told = servers.client.get("/models", cast_to=httpx.Response).json()
            listed = told.get("data") if isinstance(told, dict) else None
            if isinstance(listed, list):
                return url, [str(one["id"]) for one in listed if isinstance(one, dict) and "id" in one]
        except APIConnectionError as error:
            raise EngineError(
                f"no server answers at {url} ({_reason(error)}). Is it running, and is this its address? "
                f"Write the address of one that runs, {RIGHT}; `vllm serve MODEL` starts one there"
            ) from None
        except APIStatusError as error:
            if error.status_code in (401, 403):
                raise EngineError(
                    f"{url} refuses the key ({error.status_code}): set OPENAI_API_KEY to one that it takes"
                ) from None
        except (OpenAIError, ValueError):  # it is no such server, or not at this path
            continue
        finally:
            servers.close()
    return url, None


def _chosen(url: str, models: list[str] | None, model: str | None) -> str:
    """Return the model that is meant: the one that is named, else the only one."""
    if models is None:
        if model is not None:
            return model
        raise EngineError(
            f"{url}/models lists no models: is it the address of an OpenAI-compatible server, {RIGHT}? "
            "If it is, name the model with --model"
        )
    if not models:
        raise EngineError(f"{url} serves no model now: load one, or write the address of another server")
    if model is None and len(models) == 1:
        return models[0]
    if model in models and model is not None:
        return model
    listed = ", ".join(models[:MOST_LISTED]) + (
        f" and {len(models) - MOST_LISTED} more" if models[MOST_LISTED:] else ""
    )
    if model is None:
        raise EngineError(f"{url} serves {len(models)} models: {listed}. Say which, as in --model {models[0]}")
    raise EngineError(f"{url} serves no model {model!r}{did_you_mean(model, models) or '.'} It serves {listed}")


def _thinking_end(served: ServedModel, context: int | None) -> str | None:
    """Return what ends the model's thinking; None where it answers without thinking.

    Thinking within the text is longer than the door's question allows: it is asked once more.
    """
    from openai import OpenAIError

    neutral = served.listed.has_defaults
    form = RequestForm(several=False, neutral=neutral, special_tokens=neutral, own_budget=False)

    def ask(body: dict[str, Any]) -> Any:
        sampling = {name: value for name, value in body.items() if name != "messages"}
        return served.post("/chat/completions", served.asking.body(body["messages"], sampling, RequestForm()))

    form, choices = first_answer(ask, served.servers, form)
    if any(cut_off(choice.finish_reason) and not _thinks(choice) for choice in choices):
        most = min(LONG_ENOUGH, (context or LONG_ENOUGH) // 2)
        longer = form.body(RolloutSettings(max_new_tokens=most), most, seed=1, n=1)
        try:
            choices = written(ask({"messages": QUESTION, **longer}))
        except (OpenAIError, ValueError) as error:
            raise EngineError(f"{served.settings.model} at {served.settings.base_urls[0]}: {error}") from None
    return DEFAULT_END if any(map(_thinks, choices)) else None


def _thinks(choice: Written) -> bool:
    return bool(choice.thinking) or choice.hidden or "<think>" in choice.content or DEFAULT_END in choice.content


def _reason(error: BaseException) -> str:
    cause = error.__cause__
    while cause is not None and cause.__cause__ is not None:
        cause = cause.__cause__
    return str(cause or error)[:100]
