"""How a problem is answered: k candidates, their vote, and their refinement, each as the evaluation has it."""

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from jinja2 import TemplateError

from assets.sampling import candidates_chat
from gsr_dagster.answering.asked import Asked
from gsr_dagster.answering.engine_queue import EngineQueue
from gsr_dagster.answering.refusals import RefusedError, over_the_context
from gsr_dagster.answering.subject import Subject
from gsr_dagster.experiment.settings import RolloutSettings
from gsr_dagster.method.answers import answer_of
from gsr_dagster.method.prompting.prompts import Message, direct_messages, summarise
from gsr_dagster.method.voting import leaders
from resources.engines.base import UNASKED, Request, Sample, sample_seed
from resources.grading.grader import Grader


@dataclass(frozen=True)
class Read:
    """A sample, what it says after its thinking, and the answer that this ends with."""

    sample: Sample
    summary: str | None
    answer: str | None


@dataclass(frozen=True)
class Vote:
    """The vote of candidates: the class of equal answers of each, and the place of the candidate that it takes.

    ``agreement`` is the share of the candidates that have the leading answer, 0..1; ``tied`` says
    that several answers lead: one of them was drawn.
    """

    classes: Sequence[int | None]
    chosen: int
    agreement: float
    tied: bool


@dataclass(frozen=True)
class Solved:
    """An answer, and all that it was made of. ``shortened`` counts the candidates that the token budget cut."""

    asked: Asked
    candidates: Sequence[Read]
    vote: Vote
    rounds: Sequence[Sequence[Read]]
    shortened: int

    @property
    def final(self) -> Read:
        """The refinement of the last round, or the candidate that the vote takes."""
        return self.rounds[-1][0] if self.rounds else self.candidates[self.vote.chosen]

    @property
    def samples(self) -> list[Sample]:
        return [read.sample for group in (self.candidates, *self.rounds) for read in group]


class Solver:
    """Answers problems as a subject, through the queue of its engine."""

    def __init__(self, subject: Subject, queue: EngineQueue, grader: Grader):
        self.subject, self.queue, self.grader = subject, queue, grader

    def direct_chat(self, asked: Asked) -> list[Message]:
        """Return the chat that asks for a candidate. No example stands in it: a problem from outside is of no benchmark."""
        ask = self.subject.experiment.prompts.ask_direct
        return self._within_context([*asked.before, *direct_messages(asked.problem, ask=ask)])

    def refinement_chat(self, asked: Asked, group: Sequence[Read]) -> tuple[list[Message], int]:
        """Return the chat that shows candidates, as the evaluation writes it, and how many were shortened."""
        subject, summaries = self.subject, [read.summary for read in group]
        messages, shortened = candidates_chat(
            subject.experiment, subject.engine, asked.refinement, asked.problem, summaries, before=asked.before
        )
        return self._within_context(messages), shortened

    async def solve(
        self, asked: Asked, name: str, direct: list[Message], wrote: Callable[[str], None] | None = None
    ) -> Solved:
        """Answer a problem. ``name`` tells it from others, ``wrote`` gets the last refinement while it is written."""
        candidates = await self._drawn(asked, f"{name}/candidates", direct, asked.direct, asked.k)
        vote = await asyncio.to_thread(self.vote, asked, candidates)
        rounds, shortened = list[list[Read]](), 0
        for number in range(1, asked.rounds_after(vote.agreement) + 1):
            messages, cut = await asyncio.to_thread(self.refinement_chat, asked, rounds[-1] if rounds else candidates)
            last = number == asked.rounds
            samples, shown = (1, wrote) if last else (asked.k, None)
            rounds.append(await self._drawn(asked, f"{name}/r{number}", messages, asked.refinement, samples, shown))
            shortened += cut
        return Solved(asked, candidates, vote, rounds, shortened)

    def vote(self, asked: Asked, candidates: Sequence[Read]) -> Vote:
        """Return the vote. Of answers that tie one is drawn by the seed; without any answer it takes the first candidate."""
        classes = self.grader.classes(asked.domain, [read.answer for read in candidates])
        if not (leading := leaders(classes)):
            return Vote(classes, 0, 0.0, tied=False)
        winner = random.Random(f"{asked.seed}:vote").choice(leading)
        return Vote(classes, classes.index(winner), classes.count(winner) / len(classes), tied=len(leading) > 1)

    async def _drawn(
        self,
        asked: Asked,
        name: str,
        messages: list[Message],
        settings: RolloutSettings,
        samples: int,
        wrote: Callable[[str], None] | None = None,
    ) -> list[Read]:
        stage = name.rpartition("/")[2]
        seeds = tuple(sample_seed(str(asked.seed), stage, index) for index in range(samples))
        request = Request(name, messages, tuple(range(samples)), seeds)
        drawn = await self.queue.draw(request, settings, wrote)
        if all(sample.finish_reason == UNASKED for sample in drawn):
            raise over_the_context(drawn[0].prompt_tokens, self.subject.engine.context)
        return [self._read(asked, sample) for sample in drawn]

    def _read(self, asked: Asked, sample: Sample) -> Read:
        summary = summarise(sample.text, self.subject.thinking_end)
        return Read(sample, summary, answer_of(summary, asked.domain))

    def _within_context(self, messages: list[Message]) -> list[Message]:
        """Return a chat that the model can take. Raises RefusedError for another one."""
        engine = self.subject.engine
        try:
            tokens = engine.prompt_tokens(messages)
        except TemplateError as error:
            raise RefusedError(
                f"messages: the model's chat template refuses these turns: {error}", "messages"
            ) from None
        if engine.context is not None and tokens >= engine.context:
            raise over_the_context(tokens, engine.context)
        return messages
