"""Prompts that a server does not take: over its context, or held back by a filter."""

import re
from dataclasses import dataclass

from resources.engines.base import UNASKED
from resources.engines.served.servers import refusal

CONTEXT = re.compile(
    r"context[ _-]?(?:length|window|size)|max_model_len|max(?:imum)? (?:sequence|model|input|prompt) length|"
    r"(?:prompt|input|request)\b.{0,40}\btoo (?:long|large)|too many (?:input |prompt )?tokens|reduce the length",
    re.IGNORECASE | re.DOTALL,
)
SAID_CONTEXT = re.compile(
    r"(?:context[ _-]?(?:length|window|size)|max_model_len|maximum (?:sequence|model) length)\D{0,40}?(\d{2,})",
    re.IGNORECASE,
)
FILTERED = re.compile(r"content[ _-]?(?:filter|polic|management)|safety system|moderation", re.IGNORECASE)


@dataclass(frozen=True)
class Refused:
    """A prompt that was refused: the finish reason of its samples, and the context where the server names it."""

    finish_reason: str
    context: int | None = None


def refused_prompt(error: BaseException) -> Refused | None:
    """Return what a server's refusal of one prompt means; None where it may be about every request."""
    refused = refusal(error)
    if refused is None:
        return None
    message, _, code = refused
    said = f"{code or ''} {message}"
    if FILTERED.search(said):
        return Refused("content_filter")
    if getattr(error, "status_code", None) == 413 or code == "context_length_exceeded" or CONTEXT.search(said):
        named = SAID_CONTEXT.search(message)
        return Refused(UNASKED, int(named[1]) if named else None)
    return None
