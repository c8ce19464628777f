"""What a student is trained on: the tokens it is asked with, and the tokens it should answer with.

The two are made apart and joined. The first are those that every engine prompts with
(resources/engines/chat.py), token for token. The second are the teacher's text and the token at
which engines stop. A chat template is never asked to write the whole conversation: some leave the
thinking out of an answer, or its opening tag, or write no token that ends it.

Where a prompt ends with an opened thinking tag, the student goes on from there. A teacher's text
that begins with that tag too is trained without it, or the student would learn to open its
thinking twice. Any other text stands as the teacher wrote it.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gsr_dagster.experiment.errors import UserError
from gsr_dagster.method.prompting.prompts import Message
from resources.engines.chat import chat_tokens
from resources.models.generation_config import stop_tokens

# Part of a checkpoint's fingerprint. 1 was the chat template over the whole conversation.
TARGET_VERSION = 2

PROBE, ANSWER = "What is 7 plus 18?", "That makes 25."
# An opened thinking tag, of <think>, [THINK], <seed:think>, <|START_THINKING|>, ◁think▷ and Gemma's channel, and
# whatever closes it at once, as templates do for a model that should not think.
OPENED = re.compile(
    r"(?:<\|channel>thought|[<\[◁]\|?(?!/)[\w:]*(?:think|thought|reason)\w*\|?[>\]▷])"
    r"\s*(?:(?:<channel\|>|[<\[◁]\|?[/\w:]*(?:think|thought|reason)\w*\|?[>\]▷])\s*)?\Z",
    re.IGNORECASE,
)
MOST_TOKENS_OF_A_TAG = 32


class TemplateError(UserError, ValueError):
    """A chat template, or its tokenizer, with which a student would not learn what it is asked for."""


@dataclass(frozen=True)
class Target:
    """The tokens of a training row: those it is asked with, and after them those it learns."""

    prompt: Sequence[int]
    answer: Sequence[int]


class Targets:
    """Makes training rows into tokens. Raises TemplateError, by the model's name, where that cannot be right."""

    def __init__(self, name: str, tokenizer: Any, stops: Collection[int], template_kwargs: Mapping[str, Any]):
        self.name = name
        self.tokenizer = tokenizer
        self.template_kwargs = template_kwargs
        if not tokenizer.chat_template:
            raise TemplateError(f"{name}: its tokenizer has no chat template, so it cannot be asked or trained")
        if PROBE not in self.tokenizer.decode(self.prompt([{"role": "user", "content": PROBE}])):
            raise TemplateError(
                f"{name}: its chat template does not write the text of a message, so it cannot be trained. "
                "One that wants a list of parts is for images"
            )
        if not stops:
            raise TemplateError(
                f"{name}: it has no stop token, neither an eos_token of its tokenizer nor an eos_token_id of its "
                "configs, so a student would not learn to end its answers"
            )
        self.stop = self._end_of_a_turn(stops)
        self._spelled = _one_of([self.tokenizer.decode([stop]) for stop in stops])

    def prompt(self, messages: Sequence[Message]) -> list[int]:
        """Return the tokens that the student is asked with."""
        try:
            return chat_tokens(self.tokenizer, messages, self.template_kwargs)
        except UserError:
            raise
        except Exception as error:  # a template raises what it likes
            roles = ", ".join(message["role"] for message in messages)
            raise TemplateError(
                f"{self.name}: its chat template cannot write a chat of the roles {roles}: {error}"
            ) from None

    def target(self, messages: Sequence[Message], text: str) -> Target:
        """Return the tokens of a training row: a prompt, and the teacher's text with the stop token."""
        prompt = self.prompt(messages)
        end = self.tokenizer.decode(prompt[-MOST_TOKENS_OF_A_TAG:], skip_special_tokens=False)
        opened = OPENED.search(end)
        return Target(prompt, [*self._tokens(without_repeat(opened[0] if opened else "", text)), self.stop])

    def _tokens(self, text: str) -> list[int]:
        """Return a text's tokens. A stop token that is spelled in it becomes plain text: the student would end there."""
        tokens: list[int] = []
        for number, part in enumerate(self._spelled.split(text)):
            literal = {"split_special_tokens": True} if number % 2 else {}
            tokens += self.tokenizer.encode(part, add_special_tokens=False, **literal) if part else []
        return tokens

    def _end_of_a_turn(self, stops: Collection[int]) -> int:
        """Return the stop token that the template writes after an answer, else the tokenizer's, else the lowest."""
        own = self.tokenizer.eos_token_id
        otherwise = own if own in stops else min(stops)
        chat = [{"role": "user", "content": PROBE}, {"role": "assistant", "content": ANSWER}]
        try:
            written = self.tokenizer.decode(
                chat_tokens(self.tokenizer, chat, self.template_kwargs, add_generation_prompt=False)
            )
        except Exception:  # it may refuse a chat that ends with an answer; no engine asks it that
            return otherwise
        _, answer, after = written.rpartition(ANSWER)
        tokens = self.tokenizer.encode(after, add_special_tokens=False) if answer else []
        return next((token for token in tokens if token in stops), otherwise)


def without_repeat(opened: str, text: str) -> str:
    """Return a teacher's text without the thinking tag that the prompt has opened already."""
    tag = opened.rstrip()
    if not tag or not text.lstrip().startswith(tag):
        return text
    rest, space = text.lstrip()[len(tag) :], opened[len(tag) :]
    same = next((n for n in range(len(space), 0, -1) if rest.startswith(space[:n])), 0)
    return rest[same:]


def targets_of(name: str, folder: Path, template_kwargs: Mapping[str, Any]) -> Targets:
    """Return what makes rows into tokens for the model whose tokenizer a folder holds. Raises TemplateError."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    return Targets(name, tokenizer, stop_tokens(folder, tokenizer), template_kwargs)


def _one_of(texts: Sequence[str]) -> re.Pattern[str]:
    return re.compile(f"({'|'.join(re.escape(text) for text in texts if text) or '(?!)'})")
