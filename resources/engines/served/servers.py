"""The addresses that serve one model: asking them over HTTP, the least busy first, and what they say of themselves."""

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from gsr_dagster.experiment.engines import OpenAI
from resources.engines.served.answers import gathered
from resources.engines.served.form import ENGINES_WITH_DEFAULTS
from resources.engines.served.refusals import is_refusal, said_by

LONGEST_MESSAGE = 300
# As vLLM, SGLang, OpenRouter, Groq and Mistral name a model's context in /v1/models.
CONTEXT_NAMES = ("max_model_len", "context_length", "context_window", "max_context_length")
SECONDS_FOR_A_QUESTION = 60.0

# Gets an answer so far, and returns whether somebody waits for the rest.
Show = Callable[[Mapping[str, Any]], bool]


@dataclass
class Server:
    """One address: how many requests are under way there, and how many failed there in a row."""

    client: Any
    under_way: int = 0
    failed: int = 0


@dataclass(frozen=True)
class Listed:
    """What `/v1/models` says of a model: the engine that owns it, and its context; both may be unknown."""

    owner: str = ""
    context: int | None = None

    @property
    def has_defaults(self) -> bool:
        """Return whether the server fills what a request leaves out from the model's folder."""
        return self.owner in ENGINES_WITH_DEFAULTS


@dataclass
class Servers:
    """The servers of a model. The key is read from the environment, and is never repeated in a message."""

    settings: OpenAI
    key: str = field(init=False)
    servers: list[Server] = field(init=False)

    def __post_init__(self) -> None:
        import openai

        self.key = os.environ.get(self.settings.api_key_variable, "").strip()
        self._lock = threading.Lock()
        self._room = threading.BoundedSemaphore(self.settings.concurrency)  # for all that ask at once
        self.servers = [
            Server(
                openai.OpenAI(base_url=url, api_key=self.key or "none", timeout=self.settings.timeout, max_retries=0)
            )
            for url in self.settings.base_urls
        ]

    def close(self) -> None:
        for server in self.servers:
            server.client.close()

    @property
    def client(self) -> Any:
        """Return the client of the first address: files and batches lie on one server."""
        return self.servers[0].client

    def post(self, path: str, body: Mapping[str, Any], show: Show | None = None) -> dict[str, Any]:
        """Return what the least busy server answers. Raises OpenAIError, or ValueError where it is no JSON.

        With ``show`` the answer is streamed: it gets the answer so far with every piece, until it says that nobody waits.
        """
        with self._room:
            return self._posted(path, body, show)

    def _posted(self, path: str, body: Mapping[str, Any], show: Show | None) -> dict[str, Any]:
        import httpx

        with self._lock:
            server = min(self.servers, key=lambda server: (server.failed, server.under_way))
            server.under_way += 1
        try:
            if show is None:
                told = server.client.post(path, body=dict(body), cast_to=httpx.Response).json()
            else:
                told = _streamed(server, path, body, show)
        except Exception as error:
            self._count(server, failed=not is_refusal(error))
            raise
        self._count(server, failed=False)
        return told

    def _count(self, server: Server, failed: bool) -> None:
        with self._lock:
            server.under_way -= 1
            server.failed = server.failed + 1 if failed else 0

    def at_root(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the first server answers beside its `/v1`, where engines keep what OpenAI's API has not."""
        import httpx

        address = str(self.client.base_url).rstrip("/").removesuffix("/v1")
        options = {"timeout": SECONDS_FOR_A_QUESTION}
        answer = self.client.post(address + path, body=dict(body), cast_to=httpx.Response, options=options).json()
        if not isinstance(answer, dict):
            raise ValueError(f"{path} answers no JSON object")
        return answer

    def listed(self) -> Listed:
        """Return what all servers say of the model: the smallest context counts."""
        told = [self._described(server) for server in self.servers]
        contexts = [model.context for model in told if model.context]
        return Listed(told[0].owner, min(contexts, default=None))

    def _described(self, server: Server) -> Listed:
        models = self.models_at(server, "/models") or []
        own = [m for m in models if isinstance(m, dict) and m.get("id") == self.settings.model]
        if not own:
            return Listed()
        meta = own[0].get("meta")
        places: Sequence[tuple[Any, str]] = [*((own[0], name) for name in CONTEXT_NAMES), (meta, "n_ctx")]
        sizes = [cast(dict, place)[name] for place, name in places if isinstance(place, dict) and name in place]
        context = next((int(size) for size in sizes if isinstance(size, int | float) and size > 0), None)
        return Listed(str(own[0].get("owned_by") or "").lower(), context)

    def models_at(self, server: Server, path: str) -> list[Any] | None:
        """Return what a server lists as its models at a path or address; None where that is no list of models."""
        import httpx
        from openai import OpenAIError

        options = {"timeout": SECONDS_FOR_A_QUESTION}
        try:
            listed = server.client.get(path, cast_to=httpx.Response, options=options).json()
        except (OpenAIError, ValueError):
            return None
        models = listed.get("data") if isinstance(listed, dict) else None
        return models if isinstance(models, list) else None

    def told(self, error: BaseException) -> str:
        """Return what an error says, short, without the key that a server may repeat."""
        said = f"{type(error).__name__}: {said_by(error)}"
        return (said.replace(self.key, "…") if self.key else said)[:LONGEST_MESSAGE]


def _streamed(server: Server, path: str, body: Mapping[str, Any], show: Show) -> dict[str, Any]:
    """Return an answer that comes in pieces, as it would come in one."""
    from openai import Stream

    asked = {**body, "stream": True, "stream_options": {"include_usage": True}}
    told: dict[str, Any] = {}
    with server.client.post(path, body=asked, cast_to=object, stream=True, stream_cls=Stream[object]) as pieces:
        for told in gathered(pieces):
            if not show(told):
                break
    return told
