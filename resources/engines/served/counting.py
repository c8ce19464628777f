"""Counting tokens for a model that is not here: by its server, by a tokenizer that is named, or by an estimate."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from gsr_dagster.method.prompting.prompts import Message
from resources.engines.chat import chat_tokens

# Of UTF-8: English text has some four bytes a token, formulas and other alphabets three or fewer.
BYTES_A_TOKEN = 3
TOKENS_AROUND_A_MESSAGE = 32  # of its template, and of the system prompt that some add

Post = Callable[[str, dict[str, Any]], dict[str, Any]]


class Counter(Protocol):
    """Tokens of a text and back, and of a chat. ``name`` says what counts."""

    name: str

    def encode(self, text: str) -> list[int]: ...

    def decode(self, tokens: list[int]) -> str: ...

    def chat(self, messages: list[Message]) -> int: ...


class ServerTokens:
    """A server's own `/tokenize`, as vLLM, SGLang and llama.cpp have it. ``post`` takes a path and a body."""

    name = "the server's tokenizer"

    def __init__(self, post: Post, model: str, chat_template_kwargs: dict[str, Any]):
        self.post, self.model = post, model
        self.chat_options = {"chat_template_kwargs": chat_template_kwargs} if chat_template_kwargs else {}
        self.knows_chats = True

    def encode(self, text: str) -> list[int]:
        # vLLM and SGLang read `prompt`, llama.cpp `content`.
        body = {"model": self.model, "prompt": text, "content": text, "add_special_tokens": False}
        return _ids(self.post("/tokenize", body))

    def decode(self, tokens: list[int]) -> str:
        told = self.post("/detokenize", {"model": self.model, "tokens": tokens})
        return next(told[name] for name in ("prompt", "content", "text") if isinstance(told.get(name), str))

    def chat(self, messages: list[Message]) -> int:
        return len(ids) if (ids := self.chat_ids(messages)) is not None else _around(self, messages)

    def chat_ids(self, messages: list[Message]) -> list[int] | None:
        """Return the prompt as the server writes it, None where it tokenizes no chats."""
        from openai import APIStatusError

        if self.knows_chats:
            try:
                return _ids(self.post("/tokenize", {"model": self.model, "messages": messages, **self.chat_options}))
            except (APIStatusError, ValueError):
                self.knows_chats = False
        return None


class NamedTokenizer:
    """A tokenizer of the hub or of a folder."""

    def __init__(self, source: str, folder: Path, chat_template_kwargs: dict[str, Any]):
        from transformers import AutoTokenizer

        self.name = f"the tokenizer of {source}"
        self.tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        self.chat_template_kwargs = chat_template_kwargs

    def encode(self, text: str) -> list[int]:
        return self.tokenizer(text, add_special_tokens=False)["input_ids"]

    def decode(self, tokens: list[int]) -> str:
        return self.tokenizer.decode(tokens, skip_special_tokens=True)

    def chat(self, messages: list[Message]) -> int:
        if not self.tokenizer.chat_template:
            return _around(self, messages)
        return len(chat_tokens(self.tokenizer, messages, self.chat_template_kwargs))


class Estimate:
    """A token for every three bytes of a text: more than most models have, so that what fits here fits there."""

    name = f"an estimate: a token for every {BYTES_A_TOKEN} bytes"

    def encode(self, text: str) -> list[int]:
        """Return the bytes of each token as a number, after a leading one: so they can be read back."""
        data = text.encode()
        return [
            int.from_bytes(b"\1" + data[start : start + BYTES_A_TOKEN], "big")
            for start in range(0, len(data), BYTES_A_TOKEN)
        ]

    def decode(self, tokens: list[int]) -> str:
        """Return the text; of a character that is cut in two nothing."""
        return b"".join(t.to_bytes(BYTES_A_TOKEN + 1, "big").lstrip(b"\0")[1:] for t in tokens).decode(errors="ignore")

    def chat(self, messages: list[Message]) -> int:
        return _around(self, messages)


def _around(counter: Counter, messages: list[Message]) -> int:
    return sum(len(counter.encode(message["content"])) + TOKENS_AROUND_A_MESSAGE for message in messages)


def _ids(told: dict[str, Any]) -> list[int]:
    tokens = told.get("tokens")
    if not isinstance(tokens, list) or not all(isinstance(token, int) for token in tokens):
        raise ValueError("no tokens")
    return tokens
