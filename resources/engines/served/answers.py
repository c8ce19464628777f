r"""Reading what a server answers, in whichever form it comes.

    {"choices": [{"message": {"reasoning": "1 + 1 is 2", "content": "\\boxed{2}"}, "finish_reason": "stop"}], …}

becomes the text ``1 + 1 is 2\n</think>\n\n\\boxed{2}``: thinking, end marker and answer, as
the model wrote it before the server took it apart. vLLM, SGLang, DeepSeek, OpenRouter, Ollama
and Mistral differ in where they put the thinking.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gsr_dagster.method.policies.confidence import token_confidence
from gsr_dagster.method.rejection_sampling import ended_by_itself
from resources.engines.served.refusals import AnswerError, is_an_error, server_error, words
from resources.texts import storable

THINKING_FIELDS = (
    "reasoning_content",
    "reasoning",
    "thinking",
    "reasoning_details",
    "thinking_blocks",
    "reasoning_text",
    "thought",
    "thoughts",
)
# Of a list of parts: what holds thinking, and what holds text.
THINKING_PARTS = ("thinking", "redacted_thinking", "reasoning", "summary_text")
TEXT_PARTS = ("text", "output_text")
HELD = ("text", "thinking", "reasoning", "reasoning_content", "reasoning_text", "summary", "content", "value")
DEFAULT_END = "</think>"


@dataclass(frozen=True)
class Written:
    """One choice of an answer: what was thought apart from the rest, what was written, and how it ended.

    ``hidden`` where the server counts thinking that it does not show. ``confidences`` are of its tokens,
    where their log-probabilities came along.
    """

    thinking: str
    content: str
    finish_reason: str
    hidden: bool = False
    confidences: tuple[float, ...] | None = None

    def text(self, thinking_end: str | None, apart: bool) -> str:
        """Return thinking, end marker and answer as one text.

        ``apart``: this server sends thinking in a field of its own, so that content alone is an answer.
        """
        end = thinking_end or DEFAULT_END
        if self.thinking:
            answered = self.content or ended_by_itself(self.finish_reason)
            return _joined(self.thinking, end, self.content) if answered else self.thinking
        if thinking_end and (apart or self.hidden) and self.content and end not in self.content:
            return f"{end}\n\n{self.content.lstrip()}"
        return self.content


@dataclass(frozen=True)
class Usage:
    """The tokens that a server counted of an answer: its prompt, and all choices together; None where it says nothing."""

    prompt: int | None
    generated: int | None


def written(body: Any) -> list[Written]:
    """Return the choices of an answer in their order. Raises AnswerError where it holds none."""
    if not isinstance(body, Mapping):
        raise AnswerError("the answer is no JSON object")
    error = body.get("error") if is_an_error(body.get("error")) else None
    choices = body.get("choices")
    if not isinstance(choices, Sequence) or isinstance(choices, str) or not choices:
        if error or words(body):
            raise server_error(error or body)
        raise AnswerError(f"an answer without choices: {str(dict(body))[:200]}")
    hidden = bool(_count(_at(body, "usage", "completion_tokens_details", "reasoning_tokens")))
    read: list[Written] = []
    faults: list[AnswerError] = []
    for choice in choices:
        try:
            read.append(_choice(choice, hidden, error))
        except AnswerError as fault:
            faults.append(fault)
    if not read:
        raise faults[0]
    return read


def gathered(pieces: Iterable[Any]) -> Iterator[dict[str, Any]]:
    """Yield with every piece of a streamed answer the answer so far, in the form in which it comes as a whole."""
    body, message = dict[str, Any](), dict[str, Any]()
    reason = None
    for piece in pieces:
        if not isinstance(piece, Mapping):
            continue
        body |= {name: piece[name] for name in ("usage", "error") if piece.get(name)}
        for choice in piece.get("choices") or ():
            for name, value in (_at(choice, "delta") or {}).items():
                message[name] = _gone_on(message.get(name), value)
            reason = _at(choice, "finish_reason") or reason
            body["choices"] = [{"message": message, "finish_reason": reason}]
        yield body


def _gone_on(before: Any, new: Any) -> Any:
    """Return a field of a message with what a piece adds to it: texts and lists go on."""
    if new is None:
        return before
    return before + new if type(before) is type(new) and type(new) in (str, list) else new


def usage(body: Mapping[str, Any]) -> Usage:
    """Return the tokens of an answer. Thinking that a server counts beside the answer is added to it."""
    prompt, generated, total = (
        next((count for name in names if (count := _count(_at(body, "usage", name))) is not None), None)
        for names in (("prompt_tokens", "input_tokens"), ("completion_tokens", "output_tokens"), ("total_tokens",))
    )
    if prompt is not None and generated is not None and total is not None:
        generated = max(generated, total - prompt)
    return Usage(prompt, generated)


def shared(
    total: int | None, texts: Sequence[str], count: Callable[[str], int], cut_at: Sequence[int | None]
) -> list[int]:
    """Return the tokens of each text, which sum to ``total`` where the server counted it.

    A text that the limit cut off has the tokens of ``cut_at``; the others share the rest as they are counted here.
    """
    if total is not None and len(texts) == 1:
        return [total]
    counts = [count(text) if cut is None else cut for text, cut in zip(texts, cut_at, strict=True)]
    ended = [number for number, cut in enumerate(cut_at) if cut is None]
    if total is None or not ended:
        return counts
    weights = [max(counts[number], 1) for number in ended]
    rest = max(total - sum(cut or 0 for cut in cut_at), 0)
    ends = [0, *(round(rest * sum(weights[: number + 1]) / sum(weights)) for number in range(len(ended)))]
    for number, start, end in zip(ended, ends, ends[1:], strict=False):
        counts[number] = end - start
    return counts


def _choice(choice: Any, hidden: bool, error: Any) -> Written:
    """Return a choice, with what broke off as its server says it. Raises AnswerError where it is nothing but a fault.

    ``error`` is that of the whole answer. A text that comes with an error did not end by itself.
    """
    if not isinstance(choice, Mapping):
        raise AnswerError(f"a choice that is no JSON object: {str(choice)[:100]}")
    message = choice.get("message")
    message = message if isinstance(message, Mapping) else {"content": message or choice.get("text")}
    reason = _reason(choice.get("finish_reason"))
    error = choice["error"] if is_an_error(choice.get("error")) else error
    thinking, content = _parts(message.get("content"))
    for field in THINKING_FIELDS:
        if thinking:
            break
        inner, outer = _parts(message.get(field))
        thinking = inner or outer
    refused = message.get("refusal") or _refusal(message.get("content"))
    if not content and isinstance(refused, str) and refused:
        content, reason = refused, "refusal"
    if error:
        if not (content or thinking):
            raise server_error(error)
        reason = "error" if ended_by_itself(reason) else reason
    hidden = hidden or any(map(_is_hidden, (message.get("content"), *(message.get(name) for name in THINKING_FIELDS))))
    return Written(storable(thinking), storable(content), storable(reason), hidden, confidences(choice))


def confidences(choice: Mapping[str, Any]) -> tuple[float, ...] | None:
    """Return minus the mean log-probability of the likeliest tokens in each place of a choice; None where they did not come."""
    places = _at(choice, "logprobs", "content")
    if not isinstance(places, Sequence) or isinstance(places, str):
        return None
    found = []
    for place in places:
        likeliest = [_at(one, "logprob") for one in _at(place, "top_logprobs") or ()]
        known = [float(one) for one in likeliest if isinstance(one, int | float)]
        if not known:
            return None
        found.append(token_confidence(known))
    return tuple(found)


def _reason(told: Any) -> str:
    """Return a finish reason as it came; SGLang's own is an object with a type."""
    return str((told.get("type") if isinstance(told, Mapping) else told) or "unknown")


def _refusal(content: Any) -> str:
    parts = content if isinstance(content, list) else []
    return "".join(str(part.get("refusal") or "") for part in parts if isinstance(part, Mapping))


def _is_hidden(content: Any) -> bool:
    """Return whether a list of parts has thinking that the server keeps to itself."""
    parts = content if isinstance(content, list) else []
    kinds = [part.get("type") for part in parts if isinstance(part, Mapping)]
    return any(kind in ("redacted_thinking", "reasoning.encrypted") for kind in kinds)


def _is_thinking(part: Mapping[str, Any]) -> bool:
    kind = part.get("type")
    named = isinstance(kind, str) and (kind in THINKING_PARTS or kind.startswith(("reasoning.", "reasoning_")))
    return named or part.get("thought") is True


def _parts(content: Any) -> tuple[str, str]:
    """Return the thinking and the text of a message's content: a text, a part, or a list of parts."""
    if isinstance(content, str):
        return "", content
    if isinstance(content, Mapping):
        kind = content.get("type")
        inner = "".join(_parts(next((content[name] for name in HELD if content.get(name)), "")))
        if _is_thinking(content):
            return inner, ""
        return ("", inner) if kind in (*TEXT_PARTS, None) else ("", "")
    if isinstance(content, Sequence):
        read = [_parts(part) for part in content]
        return "".join(thinking for thinking, _ in read), "".join(text for _, text in read)
    return "", ""


def _joined(thinking: str, end: str, content: str) -> str:
    before = "" if thinking[-1:].isspace() else "\n"
    after = "" if not content or content[:1].isspace() else "\n\n"
    return f"{thinking}{before}{end}{after}{content}"


def _at(value: Any, *names: str) -> Any:
    for name in names:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _count(value: Any) -> int | None:
    if isinstance(value, str) and value.isdecimal():
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if math.isfinite(value) and value >= 0 else None
