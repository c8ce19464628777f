r"""Reading what a server answers, in whichever form it comes.

    {"choices": [{"message": {"reasoning": "1 + 1 is 2", "content": "\\boxed{2}"}, "finish_reason": "stop"}], …}

becomes the text ``1 + 1 is 2\n</think>\n\n\\boxed{2}``: thinking, end marker and answer, as
the model wrote it before the server took it apart. vLLM, SGLang, DeepSeek, OpenRouter, Ollama
and Mistral differ in where they put the thinking.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from resources.texts import storable

THINKING_FIELDS = ("reasoning_content", "reasoning", "thinking")
# Of a list of parts: what holds thinking, and what holds text.
THINKING_PARTS = ("thinking", "reasoning", "reasoning_text", "summary_text")
TEXT_PARTS = ("text", "output_text")
DEFAULT_END = "</think>"
# What passes when it is asked again, as servers call it where they give no status.
PASSING = ("rate_limit", "overload", "server_error", "internal", "timeout", "unavailable", "capacity", "busy")


class AnswerError(ValueError):
    """An answer that holds no sample; ``passing`` where another try may get one.

    ``status_code`` and ``code`` are those that the server gives within its answer, as an HTTP error has them.
    """

    def __init__(self, message: str, passing: bool = True, status_code: int | None = None, code: str | None = None):
        super().__init__(message)
        self.passing, self.status_code, self.code = passing, status_code, code


@dataclass(frozen=True)
class Written:
    """One choice of an answer: what was thought apart from the rest, what was written, and how it ended.

    ``hidden`` where the server counts thinking that it does not show.
    """

    thinking: str
    content: str
    finish_reason: str
    hidden: bool = False

    def text(self, thinking_end: str | None, apart: bool) -> str:
        """Return thinking, end marker and answer as one text.

        ``apart``: this server sends thinking in a field of its own, so that content alone is an answer.
        """
        end = thinking_end or DEFAULT_END
        if self.thinking:
            answered = self.content or self.finish_reason == "stop"
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
    if error := body.get("error"):
        raise server_error(error)
    choices = body.get("choices")
    if not isinstance(choices, Sequence) or isinstance(choices, str) or not choices:
        raise AnswerError(f"an answer without choices: {str(dict(body))[:200]}")
    hidden = bool(_count(_at(body, "usage", "completion_tokens_details", "reasoning_tokens")))
    return [_choice(choice, hidden) for choice in choices]


def usage(body: Mapping[str, Any]) -> Usage:
    """Return the tokens of an answer. Thinking that a server counts beside the answer is added to it."""
    prompt, generated, total = (
        _count(_at(body, "usage", name)) for name in ("prompt_tokens", "completion_tokens", "total_tokens")
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


def server_error(error: Any) -> AnswerError:
    """Return what a server says is wrong, in its own words, and whether it may pass."""
    if not isinstance(error, Mapping):
        return AnswerError(f"the server says: {error}", passing=_may_pass(error))
    said = error.get("message") or error.get("detail") or dict(error)
    codes = [error.get(name) for name in ("code", "type", "status", "status_code")]
    status = next((int(str(code)) for code in codes if str(code).isdigit()), None)
    code = next((code for code in codes if isinstance(code, str) and not code.isdigit()), None)
    return AnswerError(f"the server says: {said}", any(_may_pass(code) for code in codes), status, code)


def _may_pass(code: Any) -> bool:
    if isinstance(code, int) or (isinstance(code, str) and code.isdigit()):
        return int(code) in (408, 409, 429) or int(code) >= 500
    return isinstance(code, str) and any(word in code.lower() for word in PASSING)


def _choice(choice: Any, hidden: bool) -> Written:
    """Return a choice, with what broke off as its server says it. Raises AnswerError where it is nothing but a fault."""
    if not isinstance(choice, Mapping):
        raise AnswerError(f"a choice that is no JSON object: {str(choice)[:100]}")
    message = choice.get("message")
    message = message if isinstance(message, Mapping) else {"content": choice.get("text")}
    reason = str(choice.get("finish_reason") or "unknown")
    thinking, content = _parts(message.get("content"))
    for field in THINKING_FIELDS:
        if thinking:
            break
        inner, outer = _parts(message.get(field))
        thinking = inner or outer
    if not content and isinstance(message.get("refusal"), str) and message["refusal"]:
        content, reason = message["refusal"], "refusal"
    if not (content or thinking) and choice.get("error"):
        raise server_error(choice["error"])
    return Written(storable(thinking), storable(content), storable(reason), hidden)


def _parts(content: Any) -> tuple[str, str]:
    """Return the thinking and the text of a message's content: a text, a part, or a list of parts."""
    if isinstance(content, str):
        return "", content
    if isinstance(content, Mapping):
        kind = content.get("type")
        held = next(
            (content[name] for name in ("text", "thinking", "reasoning", "summary", "content") if content.get(name)), ""
        )
        inner = "".join(_parts(held))
        if kind in THINKING_PARTS:
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
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0 else None
