"""What a server says in place of a sample: what it is about, in its own words, and whether it may pass.

Servers say it in many shapes, with a status of HTTP or within an answer:

    {"error": {"message": "…", "code": 400}}              OpenAI, vLLM
    {"error": "…"}                                        text-generation-inference, LM Studio
    {"object": "error", "message": "…", "code": 400}      older vLLM, Mistral
    {"detail": [{"loc": ["body", "seed"], "msg": "…"}]}   FastAPI
    {"base_resp": {"status_code": 1008, "status_msg": "…"}}  MiniMax
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from resources.engines.base import UNASKED

# Where the words of an error stand, or what holds them.
WORDS = ("message", "msg", "detail", "error", "errors", "status_msg", "base_resp", "title")
CODES = ("code", "type", "status", "status_code", "error_type")
FINE = {"", "0", "200", "none", "null", "ok", "success"}  # what servers say where nothing is wrong
PASSING = re.compile(
    r"rate[ _-]?limit|overload|server[ _-]?error|internal|time[ds]?[ _-]?out|unavailable|capacity|busy|try again later|"
    r"batch_expired|cancell?ed",
    re.I,
)
# Somebody must first put something right: a key, an address, a quota.
FOR_PEOPLE = (401, 402, 403, 404)
ABOUT_PEOPLE = re.compile(
    r"authenti|unauthori|api[ _-]?key|permission|forbidden|not[ _-]?found|quota|billing|balance|payment|credits?\b",
    re.I,
)
REFUSED = re.compile(r"invalid|bad[ _-]?request|unprocessable|validation|not permitted|(?:un|not )supported", re.I)
CONTEXT = re.compile(
    r"context[ _-]?(?:length|window|size)|max_model_len|max(?:imum)? (?:sequence|model|input|prompt) length|"
    r"(?:prompt|input|request|string)\b.{0,40}\btoo (?:long|large)|too many (?:input |prompt )?tokens|"
    r"reduce the length|session length|string_above_max_length|"
    r"(?:input|prompt) (?:token count|tokens?|length)\b.{0,40}\bexceed|inputs\b.{0,40}\bmust (?:be <=|have less than)",
    re.IGNORECASE | re.DOTALL,
)
SAID_CONTEXT = re.compile(
    r"(?:context[ _-]?(?:length|window|size)|max_model_len|maximum (?:sequence|model) length|session length|"
    r"max_new_tokens\W{1,3}must be)\D{0,40}?(\d{2,})",
    re.IGNORECASE,
)
FILTERED = re.compile(
    r"content[ _-]?(?:filter|polic|management)|safety system|moderation|flagged|inappropriate|unsafe|high risk|"
    r"sensitive (?:content|information|words?)|data[ _]?inspection|responsible ?ai",
    re.IGNORECASE,
)


class AnswerError(ValueError):
    """An answer that holds no sample; ``passing`` where another try may get one.

    ``status_code``, ``code`` and ``body`` are those that the server gives within its answer, as an HTTP error has them.
    """

    def __init__(
        self,
        message: str,
        passing: bool = True,
        status_code: int | None = None,
        code: str | None = None,
        body: Any = None,
    ):
        super().__init__(message)
        self.passing, self.status_code, self.code, self.body = passing, status_code, code, body


@dataclass(frozen=True)
class Refused:
    """A prompt that was refused: the finish reason of its samples, and the context where the server names it."""

    finish_reason: str
    context: int | None = None


def words(told: Any) -> str:
    """Return what a server says in an error of whichever shape, an empty text where it says nothing."""
    if isinstance(told, str):
        return told.strip()
    if isinstance(told, Mapping):
        said = next(filter(None, (words(told.get(name)) for name in WORDS)), "")
        place = told.get("loc")
        return f"{'.'.join(map(str, place))}: {said}" if said and isinstance(place, list) else said
    if isinstance(told, Sequence):
        return "; ".join(filter(None, map(words, told)))
    return ""


def server_error(told: Any) -> AnswerError:
    """Return what a server says is wrong within an answer, and whether it may pass.

    Where it gives no status of HTTP, one is taken from what it says: 401 of what people must put right, 400 of a
    request that it refuses.
    """
    said = words(told)
    codes = list(_codes(told))
    status = next((int(code) for code in codes if code.isdigit() and 400 <= int(code) < 600), None)
    names = [code for code in codes if not code.isdigit()]
    telling = [name for name in names if name != "error"] or [said]
    if status is None:
        prompt = any(about.search(text) for about in (CONTEXT, FILTERED) for text in (*names, said))
        passing = not prompt and any(PASSING.search(name) for name in telling)
        people = not prompt and any(ABOUT_PEOPLE.search(name) for name in telling)
        refused = prompt or any(REFUSED.search(name) for name in telling)
        status = None if passing else 401 if people else 400 if refused else None
    else:
        passing = status_may_pass(status) or any(PASSING.search(name) for name in names)
    return AnswerError(f"the server says: {said or told}", passing, status, next(iter(names), None), told)


def status_may_pass(status: int) -> bool:
    """Return whether a status of HTTP tells of a fault, or of a refusal for now, that another try may be spared."""
    return status in (408, 409, 425, 429) or status >= 500


def is_an_error(told: Any) -> bool:
    """Return whether what stands as an error in an answer is one: some servers say there that all went well."""
    if isinstance(told, Mapping):
        codes = {code.lower() for code in _codes(told)}
        return bool(codes - FINE or (words(told) and not codes))
    return bool(told) and str(told).lower() not in FINE


def refusal(error: BaseException) -> tuple[str, str | None, str | None] | None:
    """Return the words, parameter and code of an error that refuses this very request (400, 413, 422); None of others."""
    return _told(error) if is_refusal(error) else None


def is_refusal(error: BaseException) -> bool:
    return getattr(error, "status_code", None) in (400, 413, 422)


def refused_prompt(error: BaseException) -> Refused | None:
    """Return what a server's refusal of one prompt means; None where it may be about every request."""
    status = getattr(error, "status_code", None)
    message, _, code = _told(error)
    said = f"{code or ''} {message}"
    if FILTERED.search(said) and (is_refusal(error) or status == 403):
        return Refused("content_filter")
    if status == 413 or (CONTEXT.search(said) and (is_refusal(error) or status == 500)):
        named = SAID_CONTEXT.search(message)
        return Refused(UNASKED, int(named[1]) if named else None)
    return None


def said_by(error: BaseException) -> str:
    """Return an error's own message, and what the server said where that is not in it."""
    said = words(getattr(error, "body", None))
    return str(error) if said in str(error) else f"{error} - {said}"


def _told(error: BaseException) -> tuple[str, str | None, str | None]:
    body = getattr(error, "body", None)
    inner = body.get("error", body) if isinstance(body, Mapping) else None
    told = inner if isinstance(inner, Mapping) else {}
    parameter, code = told.get("param"), told.get("code", getattr(error, "code", None))
    return (
        said_by(error),
        parameter if isinstance(parameter, str) else None,
        code if isinstance(code, str) else None,
    )


def _codes(told: Any) -> Iterator[str]:
    """Yield the codes, types and states in an error, outermost first."""
    if isinstance(told, Mapping):
        for name in CODES:
            code = told.get(name)
            if isinstance(code, int | float | str) and not isinstance(code, bool) and code != "":
                yield str(int(code) if isinstance(code, float) and code.is_integer() else code)
        for name in WORDS:
            yield from _codes(told.get(name))
    elif isinstance(told, Sequence) and not isinstance(told, str):
        for one in told:
            yield from _codes(one)
