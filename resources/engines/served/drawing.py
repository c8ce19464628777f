"""One request for a few samples of one prompt: its body, and the samples in its answer."""

from collections import Counter as Counts
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gsr_dagster.experiment.engines import OpenAI
from gsr_dagster.method.rejection_sampling import cut_off
from resources.engines.base import UNASKED, Request, Sample
from resources.engines.served.answers import DEFAULT_END, Written, shared, usage, written
from resources.engines.served.counting import Counter
from resources.engines.served.form import RequestForm


@dataclass(frozen=True)
class Draw:
    """Samples of one prompt that are asked for together: their places in its request, in order."""

    request: Request
    places: tuple[int, ...]

    @property
    def seed(self) -> int:
        """The seed that is sent. Where there are several samples, the one after the first has the next, as in vLLM."""
        return self.request.seeds[self.places[0]]

    @property
    def id(self) -> str:
        return f"{self.request.id}/{self.request.indices[self.places[0]]}"

    def after(self, there: int) -> "Draw | None":
        """Return what is left to ask for once ``there`` samples are had; None where nothing is."""
        return Draw(self.request, self.places[there:]) if self.places[there:] else None

    def sample(
        self,
        number: int,
        text: str,
        finish_reason: str,
        prompt_tokens: int,
        generated_tokens: int,
        confidences: tuple[float, ...] | None = None,
    ) -> Sample:
        index, seed = self.request.indices[self.places[number]], self.seed + number
        return Sample(self.request.id, index, seed, text, finish_reason, prompt_tokens, generated_tokens, confidences)

    def unasked(self, finish_reason: str = UNASKED, prompt_tokens: int = 0) -> list[Sample]:
        """Return samples without a text, of a prompt that the server does not take."""
        return [self.sample(number, "", finish_reason, prompt_tokens, 0) for number in range(len(self.places))]


@dataclass
class Outcome:
    """What became of a draw: the samples that are had, and what ended it before it had all."""

    draw: Draw
    samples: list[Sample] = field(default_factory=list)
    error: Exception | None = None

    @property
    def left(self) -> Draw | None:
        return self.draw.after(len(self.samples))


def draws(requests: Sequence[Request], several: int) -> list[Draw]:
    """Return the draws of all samples, ``several`` of a prompt together at most."""
    return [
        Draw(request, tuple(range(start, min(start + several, len(request.indices)))))
        for request in requests
        for start in range(0, len(request.indices), several)
    ]


@dataclass(frozen=True)
class Asking:
    """What a request says beside its form: the model's name, and what the experiment file sends along."""

    settings: OpenAI
    chat_template_kwargs: Mapping[str, Any]

    def body(
        self, messages: Any, sampling: Mapping[str, Any], form: RequestForm, thinking_tokens: int | None = None
    ) -> dict[str, Any]:
        """Return a chat request with the sampling parameters of a form."""
        body: dict[str, Any] = {"model": self.settings.model, "messages": messages, **sampling}
        if self.settings.reasoning_effort:
            body["reasoning_effort"] = self.settings.reasoning_effort
        if self.chat_template_kwargs:
            body["chat_template_kwargs"] = dict(self.chat_template_kwargs)
        if thinking_tokens and form.own_budget:
            body["thinking_token_budget"] = thinking_tokens
        return body | self.settings.extra_body


@dataclass
class Reading:
    """How the samples of an answer are read: the end of thinking, whether it comes apart, and what counts tokens.

    A model may think at some prompts alone: its thinking is known to come apart from the first that does.
    ``guesses`` counts what an answer left open, by what was done.
    """

    thinking_end: str | None
    thinking_apart: bool
    counter: Counter
    guesses: Counts[str] = field(default_factory=Counts)

    def text(self, choice: Written) -> str:
        return choice.text(self.thinking_end, self.thinking_apart)

    def samples(self, draw: Draw, body: Any, limit: int) -> list[Sample]:
        """Return the samples of an answer of at most ``limit`` tokens each, as many as it has and were asked for.

        Raises AnswerError where it has none.
        """
        given = written(body)
        choices, counted = given[: len(draw.places)], usage(body)
        self.thinking_apart = self.thinking_apart or any(choice.thinking for choice in choices)
        texts = [self.text(choice) for choice in choices]
        self.guesses["choices that nobody asked for, left out"] += len(given) - len(choices)
        self.guesses["answers without token counts, counted here"] += (
            counted.generated is None or counted.prompt is None
        )
        unnamed = sum(bool(choice.thinking) for choice in choices) if self.thinking_end is None else 0
        self.guesses[f"thinking of a model without thinking_end, ended by {DEFAULT_END}"] += unnamed
        prompt = self.counter.chat(draw.request.messages) if counted.prompt is None else counted.prompt
        cut_at = [limit if cut_off(choice.finish_reason) else None for choice in choices]
        tokens = shared(counted.generated, texts, lambda text: len(self.counter.encode(text)), cut_at)
        return [
            draw.sample(number, text, choice.finish_reason, prompt, count, choice.confidences)
            for number, (choice, text, count) in enumerate(zip(choices, texts, tokens, strict=True))
        ]
