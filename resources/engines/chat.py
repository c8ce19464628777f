"""How a chat becomes prompt tokens and generated tokens a text, alike in every engine that loads weights."""

import logging
from collections.abc import Callable, Mapping, Sequence, Set
from datetime import datetime
from typing import Any

from gsr_dagster.experiment.errors import UserError
from gsr_dagster.experiment.settings import RolloutSettings
from gsr_dagster.method.prompting.prompts import Message

# What a chat template gets for today, so that a prompt is the same every day: Llama 3's own default.
TEMPLATE_DATE = datetime(2024, 7, 26)

# What apply_chat_template takes besides what the template reads.
OURS = {
    *("add_generation_prompt", "chat_template", "continue_final_message", "conversation", "max_length", "messages"),
    *("padding", "return_assistant_tokens_mask", "return_dict", "return_tensors", "strftime_now", "tokenize"),
    *("tokenizer_kwargs", "truncation"),
}

COUNTED_BY = "the model's tokenizer"  # tokens, in the engines that have one

log = logging.getLogger(__name__)


def chat_tokens(
    tokenizer: Any,
    messages: Sequence[Message],
    template_kwargs: Mapping[str, Any] | None = None,
    *,
    add_generation_prompt: bool = True,
    on_date: Callable[[], None] = lambda: None,
) -> list[int]:
    """Return the tokens of a chat by the tokenizer's chat template, up to where the model's answer begins.

    ``template_kwargs`` go to the template. One that asks for today's date gets
    TEMPLATE_DATE, and ``on_date`` is called.
    """
    kwargs = dict(template_kwargs or {})
    if refused := sorted(set(kwargs) & OURS):
        raise UserError(
            f"chat_template_kwargs: {refused[0]} is not read by a chat template. "
            "They are variables of the model's own template, as in {enable_thinking: false}"
        )

    def strftime_now(form: str) -> str:
        on_date()
        return TEMPLATE_DATE.strftime(form)

    if "strftime_now" in str(getattr(tokenizer, "chat_template", "")):
        kwargs["strftime_now"] = strftime_now  # a variable hides the function of that name
    found = tokenizer.apply_chat_template(
        messages, add_generation_prompt=add_generation_prompt, tokenize=True, return_dict=True, **kwargs
    )
    return list(found["input_ids"] if isinstance(found, Mapping) else found)


class Chat:
    """A model's chat template, its detokenizer, and where its texts end.

    ``thinking_end`` stands in the texts even where it is made of special tokens; all other
    special tokens are left out. ``notes`` says what a reader of the samples should know.
    """

    def __init__(
        self,
        tokenizer: Any,
        template_kwargs: Mapping[str, Any] | None = None,
        thinking_end: str | None = None,
        stop_tokens: Set[int] = frozenset(),
    ):
        self.tokenizer = tokenizer
        self.template_kwargs = template_kwargs
        self.thinking_end = thinking_end
        self.stop_tokens = stop_tokens
        self.notes: dict[str, Any] = {}
        added = getattr(tokenizer, "added_tokens_decoder", None)  # mistral-common's have none
        flagged = {n for n, token in added.items() if token.special} if isinstance(added, Mapping) else set()
        self.special = {*tokenizer.all_special_ids, *flagged}
        self._patterns: dict[str, list[int]] = {}

    def prompt(self, messages: Sequence[Message]) -> list[int]:
        """Return the tokens that the model reads of a chat. Raises UserError where they have ended its thinking."""
        tokens = chat_tokens(self.tokenizer, messages, self.template_kwargs, on_date=self._note_the_date)
        if self.thinking_end and self.text(tokens).rstrip().endswith(self.thinking_end.rstrip()):
            raise UserError(
                f"the chat template ends the thinking ({self.thinking_end!r}) before the model writes, so that no text "
                "holds it and no answer could be read: leave thinking_end out, or switch thinking on by "
                "chat_template_kwargs"
            )
        return tokens

    def tokenize(self, text: str) -> list[int]:
        return list(self.tokenizer.encode(text, add_special_tokens=False))

    def text(self, tokens: Sequence[int], stop: Sequence[str] = ()) -> str:
        """Return the text of tokens, up to the first of the strings in ``stop``."""
        text = self._whole_text(tokens, stop)
        return text[: min((text.index(end) for end in stop if end in text), default=len(text))]

    def stopped(self, tokens: Sequence[int], stop: Sequence[str]) -> bool:
        """Return whether the text of tokens has one of the strings in it."""
        text = self._whole_text(tokens, stop) if stop else ""
        return any(end in text for end in stop)

    def finished(self, tokens: Sequence[int], stop: Sequence[str]) -> tuple[str, int, bool]:
        """Return the text of generated tokens, how many of them count, and whether the text ended by itself.

        A stop token counts, and so do the tokens of a string in ``stop``; neither stands in the text.
        """
        end = next((place for place, token in enumerate(tokens) if token in self.stop_tokens), None)
        if end is None:
            return self.text(tokens, stop), len(tokens), self.stopped(tokens, stop)
        return self.text(tokens[:end], stop), end + 1, True

    def thinking_budget(self, settings: RolloutSettings) -> int | None:
        """Return how many tokens the model may think, None where nothing bounds that. Raises UserError."""
        budget, most = settings.thinking_tokens, settings.max_new_tokens
        if budget is None or self.thinking_end is None:
            return None
        written = self.tokenize(self.thinking_end)
        if self.thinking_end not in self.text(written):
            raise UserError(
                f"thinking_tokens ends thinking by thinking_end, {self.thinking_end!r}, which the model's tokenizer "
                f"writes as {self.text(written)!r}: give the marker as the model writes it"
            )
        marker = len(written)
        if budget + marker >= most:
            raise UserError(
                f"thinking_tokens {budget} and the {marker} tokens of {self.thinking_end!r} leave no room for an "
                f"answer within max_new_tokens, {most}: make thinking_tokens smaller than {most - marker}"
            )
        return budget

    def closing(self, tokens: Sequence[int]) -> list[int]:
        """Return the tokens that end the thinking in generated tokens, none where it has ended."""
        if self.thinking_end is None or self.thinking_end in self.text(tokens):
            return []
        marker = self.tokenize(self.thinking_end)
        written = next((n for n in range(len(marker) - 1, 0, -1) if list(tokens[-n:]) == marker[:n]), 0)
        return marker[written:]

    def _whole_text(self, tokens: Sequence[int], stop: Sequence[str]) -> str:
        wanted = [*stop] if self.thinking_end is None else [self.thinking_end, *stop]
        patterns = {string: self._pattern(string) for string in wanted}
        watched = {token for pattern in patterns.values() for token in pattern}
        if watched.isdisjoint(tokens):
            return self.tokenizer.decode(list(tokens), skip_special_tokens=True)
        left = [token for token in tokens if token not in self.special or token in watched]
        kept = {place for s, pattern in patterns.items() if pattern for place in self._places(left, s, pattern)}
        shown = [token for place, token in enumerate(left) if token not in self.special or place in kept]
        return self.tokenizer.decode(shown, skip_special_tokens=False)

    def _pattern(self, string: str) -> list[int]:
        """Return the special tokens of a string."""
        if string not in self._patterns:
            self._patterns[string] = [token for token in self.tokenize(string) if token in self.special]
        return self._patterns[string]

    def _places(self, tokens: list[int], string: str, pattern: list[int]) -> set[int]:
        """Return where special tokens stand that belong to the string. ``pattern`` is its special tokens."""
        found: set[int] = set()
        special = [place for place, token in enumerate(tokens) if token in self.special]
        bounds = [-1, *special, len(tokens)]
        reach = len(string.encode())  # each token about it has a byte at least
        for number in range(len(special) - len(pattern) + 1):
            span = special[number : number + len(pattern)]
            if [tokens[place] for place in span] != pattern:
                continue
            start = max(bounds[number] + 1, span[0] - reach)
            end = min(bounds[number + len(pattern) + 1], span[-1] + reach + 1)
            if string in self.tokenizer.decode(tokens[start:end], skip_special_tokens=False):
                found.update(span)
        return found

    def _note_the_date(self) -> None:
        if "template_date" not in self.notes:
            self.notes["template_date"] = TEMPLATE_DATE.date().isoformat()
            log.info(
                "the chat template writes today's date: it gets %s, so that prompts are the same every day",
                self.notes["template_date"],
            )


class CountsByChat:
    """How an engine that has the model's tokenizer counts: what it says of it is the same in each of them."""

    counts_by = COUNTED_BY
    chat: Any  # its Chat, from the start or once it is asked for

    def prompt_tokens(self, messages: list[Message]) -> int:
        return len(self.chat.prompt(messages))

    def tokenize(self, text: str) -> list[int]:
        return self.chat.tokenize(text)

    def detokenize(self, tokens: list[int]) -> str:
        return self.chat.text(tokens)
