"""What the tests ask, and an engine that writes what a test says, a piece at a time."""

import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from gsr_dagster.experiment.settings import RolloutSettings
from gsr_dagster.method.prompting.prompts import Message
from resources.engines.base import Request, Sample
from tests.gsr_dagster.answering.conftest import MODEL

if TYPE_CHECKING:
    from openai import OpenAI


def problem(left: int = 4, right: int = 3) -> str:
    return f"State the final answer to the following arithmetic problem: {left} + {right} ="


def ask(client: "OpenAI", text: str | None = None, stream: bool = False, **fields: Any) -> Any:
    """Ask as a user would; fields that are not of OpenAI's API go into the extra body."""
    own = {name: fields.pop(name) for name in ("k", "rounds", "method", "threshold", "domain") if name in fields}
    messages = fields.pop("messages", [{"role": "user", "content": text or problem()}])
    return client.chat.completions.create(model=MODEL, messages=messages, stream=stream, extra_body=own, **fields)


class Writing:
    """An engine that writes a request's text word by word, and waits before each word for ``go``."""

    context: int | None = None
    counts_by = "words"
    notes = MappingProxyType({})

    def __init__(self, write: Callable[[Request, int], str], waits: bool = False):
        self.write = write
        self.go = threading.Event()
        if not waits:
            self.go.set()
        self.asked: list[list[Request]] = []
        self.given_up = threading.Event()

    def sample(self, requests: Sequence[Request], settings: RolloutSettings) -> Iterator[list[Sample]]:
        self.asked.append([*requests])
        for request in requests:
            texts = {index: self.write(request, index) for index in request.indices}
            words = max(len(text.split(" ")) for text in texts.values())
            for number in range(1, words + 1):
                while not self.go.wait(0.02):
                    if request.is_given_up:
                        self.given_up.set()
                        return
                if request.watch and request.shows:
                    so_far = " ".join(texts[request.indices[0]].split(" ")[:number])
                    request.watch.show(partial(str, so_far))
            yield [
                Sample(request.id, index, seed, texts[index], "stop", 10, len(texts[index].split()))
                for index, seed in zip(request.indices, request.seeds, strict=True)
            ]

    def prompt_tokens(self, messages: list[Message]) -> int:
        return sum(len(message["content"].split()) for message in messages)

    def tokenize(self, text: str) -> list[int]:
        return [ord(character) for character in text]

    def detokenize(self, tokens: list[int]) -> str:
        return "".join(map(chr, tokens))

    def close(self) -> None:
        pass
