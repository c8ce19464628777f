"""One model of a server, or of several: asked in the form that they take, its tokens counted, its cost kept."""

import logging
from collections import Counter as Counts
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from gsr_dagster.experiment.engines import OpenAI
from gsr_dagster.experiment.settings import RolloutSettings
from gsr_dagster.method.prompting.prompts import Message
from resources.engines.base import Request, surely_within
from resources.engines.served import counting
from resources.engines.served.answers import usage, written
from resources.engines.served.door import opened
from resources.engines.served.drawing import Asking, Draw, Reading
from resources.engines.served.form import RequestForm
from resources.engines.served.retrying import retrying
from resources.engines.served.servers import Listed, Servers, Show
from resources.engines.served.spending import spending

NamedTokenizer = tuple[str, Callable[[], Path]]

log = logging.getLogger(__name__)


class ServedModel:
    """A served model. Nothing is asked of it before the first sample or the first token count.

    ``failures`` counts the requests that failed, by kind, tried again or not.
    """

    def __init__(
        self,
        settings: OpenAI,
        tokenizer: NamedTokenizer | None,
        thinking_end: str | None,
        chat_template_kwargs: dict[str, Any],
    ):
        self.settings = settings
        self.servers = Servers(settings)
        self.named_tokenizer = tokenizer
        self.thinking_end = thinking_end
        self.chat_template_kwargs = chat_template_kwargs
        self.asking = Asking(settings, chat_template_kwargs)
        self.failures: Counts[str] = Counts()
        self.spent = spending(settings)
        self.said_context: int | None = None
        self.form = RequestForm()

    @cached_property
    def listed(self) -> Listed:
        return self.servers.listed()

    @property
    def context(self) -> int | None:
        """The most tokens of prompt and answer: as the file says, as the server lists it, or less as it said when it refused."""
        known = (self.settings.context or self.listed.context, self.said_context)
        return min(filter(None, known), default=None)

    @cached_property
    def counter(self) -> counting.Counter:
        """What counts tokens: the server where it can, else the tokenizer that is named, else an estimate."""
        from openai import OpenAIError

        server = counting.ServerTokens(self.servers.at_root, self.settings.model, self.chat_template_kwargs)
        try:
            if (tokens := server.encode("one two")) and server.decode(tokens).strip() == "one two":
                return server
        except (OpenAIError, ValueError, StopIteration):
            log.debug("%s counts no tokens", self.settings.model)
        if self.named_tokenizer:
            name, fetch = self.named_tokenizer
            return counting.NamedTokenizer(name, fetch(), self.chat_template_kwargs)
        log.warning("%s counts no tokens and no tokenizer is named: %s", self.settings.model, counting.Estimate.name)
        return counting.Estimate()

    @cached_property
    def reading(self) -> Reading:
        """How its answers are read: found by one question. Raises EngineError where it takes none."""
        form = RequestForm(
            several=self.settings.n > 1,
            neutral=self.listed.has_defaults,
            special_tokens=self.listed.has_defaults and self.thinking_end is not None,
            own_budget=self.listed.owner == "vllm",
        )
        found = opened(self._probe, self.servers, form, self.thinking_end)
        self.form = found.form
        return Reading(self.thinking_end, found.thinking_apart, self.counter)

    def _probe(self, body: dict[str, Any]) -> dict[str, Any]:
        sampling = {name: value for name, value in body.items() if name != "messages"}
        asked = self.asking.body(body["messages"], sampling, RequestForm())
        return retrying(self.settings.retries)(self.post, "/chat/completions", asked)

    def body(self, draw: Draw, settings: RolloutSettings, most: int | None = None) -> dict[str, Any]:
        """Return the request of a draw, for at most ``most`` tokens, the settings' own limit where it is None."""
        limit = self._room(draw.request.messages, most or settings.max_new_tokens)
        sampling = self.form.body(settings, limit, draw.seed, len(draw.places))
        budget = settings.thinking_tokens if self.thinking_end else None
        return self.asking.body(draw.request.messages, sampling, self.form, budget)

    def _room(self, messages: list[Message], limit: int) -> int:
        """Return the limit of an answer, lowered to what the prompt leaves of the context."""
        if not self.context or surely_within(messages, self.context - limit):
            return limit
        return max(min(limit, self.context - self.counter.chat(messages)), 1)

    def shown(self, request: Request) -> Show | None:
        """Return what shows an answer to who watches it while it is written; None where nobody does, or the server cannot."""
        watch = request.watch
        if watch is None or not request.shows or not self.form.streamed:
            return None

        def show(told: Mapping[str, Any]) -> bool:
            if told.get("choices"):
                watch.show(lambda: self.reading.text(written(told)[0]))
            return not watch.gone()

        return show

    def post(self, path: str, body: dict[str, Any], show: Show | None = None) -> dict[str, Any]:
        """Return what a server answers, and count what it cost, or how it failed. ``show`` gets it while it is written.

        Raises SpendingLimitError before it asks, OpenAIError and ValueError after.
        """
        self.spent.refuse_more()
        try:
            told = self.servers.post(path, body, show)
            written(told)
        except Exception as error:
            self.failures[type(error).__name__] += 1
            raise
        counted = usage(told)
        self.spent.add(counted.prompt or 0, counted.generated or 0)
        return told
