"""Answers in the form of OpenAI's API, with all that they were made of in the field ``gsr``."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gsr_dagster.answering.growing import parted
from gsr_dagster.answering.solving import Read, Solved
from gsr_dagster.method.rejection_sampling import cut_off, ended_by_itself


@dataclass(frozen=True)
class Form:
    """What all that is sent of one answer has in common. ``created`` is in seconds since 1970."""

    id: str
    created: int
    model: str
    thinking_end: str | None

    def completion(self, solved: Solved) -> dict[str, Any]:
        """Return an answer in one piece."""
        message = {"role": "assistant", **self.delta(*parted(solved.final.sample.text, self.thinking_end))}
        choice = {"index": 0, "message": {"content": "", **message}, "finish_reason": finish_reason(solved.final)}
        return {
            **self._head("chat.completion"),
            "choices": [{**choice, "logprobs": None}],
            "usage": usage(solved),
            "gsr": made_of(solved),
        }

    def delta(self, thinking: str, content: str) -> dict[str, str]:
        """Return what is written as fields of a message. Servers of models that think call their thinking so."""
        said = {"reasoning_content": thinking, "content": content}
        return {name: text for name, text in said.items() if text}

    def piece(self, delta: dict[str, str]) -> dict[str, Any]:
        """Return a piece of a stream."""
        choice = {"index": 0, "delta": delta, "finish_reason": None, "logprobs": None}
        return {**self._head("chat.completion.chunk"), "choices": [choice]}

    def last_piece(self, solved: Solved) -> dict[str, Any]:
        """Return the piece that ends a text, with all that it was made of."""
        choice = {"index": 0, "delta": {}, "finish_reason": finish_reason(solved.final), "logprobs": None}
        return {**self._head("chat.completion.chunk"), "choices": [choice], "gsr": made_of(solved)}

    def usage_piece(self, solved: Solved) -> dict[str, Any]:
        return {**self._head("chat.completion.chunk"), "choices": [], "usage": usage(solved)}

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model}


def finish_reason(read: Read) -> str:
    """Return how a text ended, as OpenAI's API calls it; another end of a server keeps the server's name."""
    reason = read.sample.finish_reason
    return "stop" if ended_by_itself(reason) else "length" if cut_off(reason) else reason


def usage(solved: Solved) -> dict[str, int]:
    """Return the tokens of all samples. Each reads its own prompt, as the report counts them (``method.scoring.tokens``)."""
    prompt = sum(sample.prompt_tokens for sample in solved.samples)
    generated = sum(sample.generated_tokens for sample in solved.samples)
    return {"prompt_tokens": prompt, "completion_tokens": generated, "total_tokens": prompt + generated}


def made_of(solved: Solved) -> dict[str, Any]:
    """Return what an answer was made of."""
    asked, vote = solved.asked, solved.vote
    return {
        "method": asked.method,
        "k": asked.k,
        "seed": asked.seed,
        "domain": asked.domain,
        "candidates": [_read(one) for one in solved.candidates],
        "votes": _votes(solved.candidates, vote.classes),
        "agreement": vote.agreement,
        "tied": vote.tied,
        "chosen": vote.chosen,
        "refinements": [[_read(one) for one in group] for group in solved.rounds],
        "shortened_candidates": solved.shortened,
        "ignored": [*asked.ignored],
    }


def _votes(candidates: Sequence[Read], classes: Sequence[int | None]) -> list[dict[str, Any]]:
    """Return the answers with the places of the candidates that have them, those with the most votes first."""
    places = defaultdict[int, list[int]](list)
    for place, one in enumerate(classes):
        if one is not None:
            places[one].append(place)
    ranked = sorted(places.values(), key=len, reverse=True)
    return [{"answer": candidates[of[0]].answer, "votes": len(of), "candidates": of} for of in ranked]


def _read(read: Read) -> dict[str, Any]:
    """Return a sample as it is shown to the refiner: without its thinking, None where that never ends."""
    return {"text": read.summary, "answer": read.answer, "finish_reason": finish_reason(read)}
