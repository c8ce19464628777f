"""A model behind an OpenAI-compatible server: `vllm serve`, a fleet of them, a hosted teacher.

A request asks for a few samples of one prompt, by a seed: what fails costs those samples. It is
tried again after what may pass, a refusal for now, a fault, a broken or late answer; never for
what a sample says.
"""

import logging
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from threading import Event
from typing import Any

from gsr_dagster.experiment.engines import OpenAI
from gsr_dagster.experiment.settings import RolloutSettings
from gsr_dagster.method.prompting.prompts import Message
from resources.engines.base import UNASKED, EngineError, Request, Sample
from resources.engines.served.batches import drawn_in_a_batch
from resources.engines.served.door import other_form, where
from resources.engines.served.drawing import Draw, Outcome, draws
from resources.engines.served.model import NamedTokenizer, ServedModel
from resources.engines.served.refusals import refusal, refused_prompt
from resources.engines.served.retrying import is_for_people, retrying
from resources.engines.served.spending import SpendingLimitError
from resources.engines.served.thinking_budget import answered_after_thinking

log = logging.getLogger(__name__)


class OpenAIEngine:
    """A served model as an engine. ``tokenizer``: a name, and what fetches its folder where the server counts no tokens."""

    def __init__(
        self,
        settings: OpenAI,
        tokenizer: NamedTokenizer | None = None,
        thinking_end: str | None = None,
        chat_template_kwargs: dict[str, Any] | None = None,
    ):
        self.settings = settings
        self.model = ServedModel(settings, tokenizer, thinking_end, chat_template_kwargs or {})

    def close(self) -> None:
        self.model.servers.close()

    @property
    def context(self) -> int | None:
        return self.model.context

    @property
    def counts_by(self) -> str:
        return self.model.counter.name

    @property
    def notes(self) -> dict[str, Any]:
        return {}

    def tokenize(self, text: str) -> list[int]:
        return self.model.counter.encode(text)

    def detokenize(self, tokens: list[int]) -> str:
        return self.model.counter.decode(tokens)

    def prompt_tokens(self, messages: list[Message]) -> int:
        return self.model.counter.chat(messages)

    def sample(self, requests: Sequence[Request], settings: RolloutSettings) -> Iterator[list[Sample]]:
        model = self.model
        model.spent.refuse_more()
        reading = model.reading
        forced = bool(settings.thinking_tokens and model.thinking_end and not model.form.own_budget)
        together = self.settings.n if model.form.several and settings.temperature and not forced else 1
        wanted = draws(requests, together)
        in_batch = self.settings.mode == "batch"
        outcomes = drawn_in_a_batch(model, wanted, settings, reading) if in_batch else self._drawn(wanted, settings)
        yield from self._kept(outcomes, sum(len(request.indices) for request in requests))

    def _drawn(self, wanted: Sequence[Draw], settings: RolloutSettings) -> Iterator[Outcome]:
        """Yield what becomes of each draw as it finishes; after Ctrl-C, of those that were under way."""
        ended = Event()
        with ThreadPoolExecutor(self.settings.concurrency) as pool:
            # What has been yielded is let go.
            left = {pool.submit(self._outcome, draw, settings, ended) for draw in wanted}
            try:
                for future in as_completed(left):
                    left.remove(future)
                    yield future.result()
            except GeneratorExit:
                raise
            except BaseException:
                ended.set()
                pool.shutdown(cancel_futures=True)
                yield from (future.result() for future in left if not future.cancelled())
                raise
            finally:
                pool.shutdown(cancel_futures=True)

    def _outcome(self, draw: Draw, settings: RolloutSettings, ended: Event) -> Outcome:
        """Ask for a draw until all of its samples are had, or something ends it, or all: then nothing more is asked."""
        outcome = Outcome(draw)
        try:
            while (left := outcome.left) is not None and not (ended.is_set() or draw.request.is_given_up):
                outcome.samples += retrying(self.settings.retries)(self._ask, left, settings)
        except Exception as error:
            outcome.error = error
            if is_for_people(error) and not refused_prompt(error):
                ended.set()
        return outcome

    def _ask(self, draw: Draw, settings: RolloutSettings) -> list[Sample]:
        """Ask once. Where the server refuses the form of the request, ask at once in another one."""
        model = self.model
        while True:
            form = model.form
            try:
                if settings.thinking_tokens and model.thinking_end and not form.own_budget:
                    return answered_after_thinking(model, draw, settings, model.reading)
                body, show = model.body(draw, settings), model.shown(draw.request)
                return model.reading.samples(draw, model.post("/chat/completions", body, show), form.limit(body))
            except Exception as error:
                if refusal(error) and model.form is not form:  # another request was refused in this form
                    continue
                refused = refused_prompt(error)
                if refused and refused.context and refused.context < (model.context or sys.maxsize):
                    model.said_context = refused.context  # the answer's limit is lowered to what it leaves
                    continue
                other = None if refused else other_form(form, error)
                if other is None:
                    raise
                log.warning("%s: asked in another form, since %s", self.settings.model, model.servers.told(error))
                model.form = other

    def _kept(self, outcomes: Iterator[Outcome], wanted: int) -> Iterator[list[Sample]]:
        """Yield the samples of all outcomes, those of refused prompts without a text. Raises EngineError for the rest."""
        refused_alone: list[tuple[Draw, Exception]] = []
        lost: list[Exception] = []
        had = 0
        for outcome in outcomes:
            if outcome.samples:
                had += len(outcome.samples)
                yield outcome.samples
            if outcome.error is None or outcome.left is None:
                continue
            if refused := refused_prompt(outcome.error):
                had += len(outcome.left.places)
                yield self._unasked(outcome.left, outcome.error, refused.finish_reason)
            elif refusal(outcome.error):
                refused_alone.append((outcome.left, outcome.error))
            else:
                lost.append(outcome.error)
        for left, error in refused_alone:
            if had:  # others went well: it is about this prompt
                had += len(left.places)
                yield self._unasked(left, error, UNASKED)
            else:
                lost.append(error)
        self._say()
        if limit := next((error for error in lost if isinstance(error, SpendingLimitError)), None):
            raise SpendingLimitError(f"{had:,} of {wanted:,} samples are drawn. {limit}")
        if had < wanted:
            first = f"; the first: {self.model.servers.told(lost[0])}" if lost else ""
            raise EngineError(f"{wanted - had} of {wanted} samples could not be had{first}")

    def _unasked(self, left: Draw, error: Exception, finish_reason: str) -> list[Sample]:
        log.warning("%s: the prompt is not taken: %s", left.id, self.model.servers.told(error))
        return left.unasked(finish_reason, self.model.counter.chat(left.request.messages))

    def _say(self) -> None:
        """Log what failed, what an answer left open, and what was spent."""
        model, server = self.model, where(self.model.servers)
        if model.failures:
            log.warning("%s: failed requests, by kind: %s", server, dict(model.failures))
        if guesses := {what: count for what, count in model.reading.guesses.items() if count}:
            log.warning("%s: %s", server, guesses)
        log.info("%s: %s in this run so far", server, model.spent)
