"""What every engine takes and gives: requests in, samples out."""

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from gsr_dagster.experiment.engines import LORA_RANKS
from gsr_dagster.experiment.errors import UserError
from gsr_dagster.experiment.settings import RolloutSettings
from gsr_dagster.method.prompting.prompts import Message
from gsr_dagster.method.rejection_sampling import UNASKED as UNASKED
from resources.store.hashes import sha256
from resources.store.manifests import canonical_json

# More than any chat template adds.
TEMPLATE_TOKENS = 1024
# A text that is shown while it is written is decoded anew each time: so seldom that writing it takes ten times as long.
SECONDS_BETWEEN_TEXTS = 0.1
TIMES_AS_LONG = 10


class EngineError(UserError, RuntimeError):
    """Samples that could not be drawn; the message says how many, and why."""


class EngineDiedError(RuntimeError):
    """The process that held the model ended; with another one the samples may be had."""


@dataclass
class Watch:
    """Somebody who waits for the samples of a request while they are drawn.

    An engine that can do so ends them once ``gone`` says that nobody waits any more, and calls ``wrote``
    now and then with the text so far of a request for one sample. The last characters may change yet.
    """

    gone: Callable[[], bool]
    wrote: Callable[[str], None] | None = None
    _next: float = field(default=0.0, init=False)

    def show(self, text: Callable[[], str]) -> None:
        """Tell what the text is so far, unless that was told just now."""
        started = time.monotonic()
        if self.wrote is None or started < self._next:
            return
        self.wrote(text())
        ended = time.monotonic()
        self._next = ended + max(SECONDS_BETWEEN_TEXTS, TIMES_AS_LONG * (ended - started))


@dataclass(frozen=True)
class Request:
    """One prompt and the samples wanted of it, by index, each with a seed of its own."""

    id: str
    messages: list[Message]
    indices: tuple[int, ...]
    seeds: tuple[int, ...]
    watch: Watch | None = None

    @property
    def shows(self) -> bool:
        """Whether somebody wants to see its text while it is written."""
        return self.watch is not None and self.watch.wrote is not None and len(self.indices) == 1

    @property
    def is_given_up(self) -> bool:
        """Whether nobody waits for its samples any more."""
        return self.watch is not None and self.watch.gone()


@dataclass(frozen=True)
class Sample:
    """One finished sample.

    ``finish_reason`` is the engine's own: "stop" means that the text ended by itself, "length"
    that the token limit cut it off; a server may say others. The text of a model that
    thinks first is its thinking, its end marker and its answer, whatever the server sends apart.
    ``confidences`` are of its tokens where the settings ask for ``logprobs``: minus the mean
    log-probability, in nats, of so many of the likeliest in each place. ``recorded_label`` is
    what someone else made of a recorded sample, 1 for right and 0 for wrong.
    """

    request_id: str
    index: int
    seed: int
    text: str
    finish_reason: str
    prompt_tokens: int
    generated_tokens: int
    confidences: tuple[float, ...] | None = None
    recorded_label: float | None = None


def chat_sha256(messages: list[Message]) -> str:
    """Return what tells a chat from every other one: 16 hex digits."""
    return sha256(canonical_json(messages))[:16]


def lora_room(adapter: Path) -> int:
    """Return the rank for which vLLM must make room to serve an adapter: its own, or the next that vLLM knows."""
    rank = json.loads((adapter / "adapter_config.json").read_text())["r"]
    return next(room for room in LORA_RANKS if room >= rank)


class Engine(Protocol):
    """A model that can be sampled.

    ``context`` is how many tokens prompt and answer may have together, None where that is not known.
    ``counts_by`` says what its token counts come from. ``notes`` are what a reader of its
    samples should know; they stand beside them, and are the same from load on.
    """

    @property
    def context(self) -> int | None: ...

    @property
    def counts_by(self) -> str: ...

    @property
    def notes(self) -> Mapping[str, Any]: ...

    def sample(self, requests: Sequence[Request], settings: RolloutSettings) -> Iterator[list[Sample]]:
        """Yield the samples in lists of those that finished together, in a fixed order.

        The transformers engine's order and lists depend on the requests alone, and dropping
        a list's requests leaves the other lists as they are: so a run that was killed goes
        on with the same samples. Other engines yield samples as they finish. Raises
        EngineError where some cannot be had, after yielding all others, and EngineDiedError
        where the model's process ended.
        """
        ...

    def close(self) -> None:
        """Give back memory, processes and connections."""
        ...

    def prompt_tokens(self, messages: list[Message]) -> int:
        """Return how many tokens the model reads of a chat."""
        ...

    def tokenize(self, text: str) -> list[int]:
        """Return the text's token ids, without special tokens."""
        ...

    def detokenize(self, tokens: list[int]) -> str:
        """Return the text of token ids."""
        ...


def surely_within(messages: Sequence[Message], tokens: int) -> bool:
    """Return whether a chat is shorter than so many tokens whatever the tokenizer: a token is a byte or more.

    To count them may be a request to a server.
    """
    return sum(len(message["content"].encode()) for message in messages) + TEMPLATE_TOKENS < tokens


def sample_seed(fingerprint: str, request_id: str, index: int) -> int:
    """Return the seed, 0..2**31-1, of one sample: the same wherever and whenever it is drawn.

    Servers refuse seeds of more than 32 bits, and some read the 32nd as a sign.
    """
    digest = hashlib.sha256(f"{fingerprint}\0{request_id}\0{index}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1
