"""What a response holds: a text, an object around it as servers and libraries write it, a chat, or a list of these.

>>> [sample.text for sample in samples_in([{"text": "a", "score": 1}, {"text": "b"}], "outputs", Reading())]
['a', 'b']
>>> [sample.text for sample in samples_in([{"role": "user", "content": "1 + 1?"}, {"role": "assistant", "content": "2"}], "messages", Reading())]
['2']
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from resources.problems.forms.columns import NAMES, TOKEN_IDS, one_of
from resources.problems.forms.fields import Reading, text

# What the text of an object is called.
TEXTS = ("text", "content", "response", "generation", "completion", "output", "generated_text")
# Where servers put a model's thinking: vLLM, SGLang and DeepSeek; OpenRouter and newer versions of vLLM.
THINKING = ("reasoning_content", "reasoning")


@dataclass(frozen=True)
class WrittenSample:
    """What a model wrote, and what stands beside it in its own object, by the name there."""

    text: str
    beside: Mapping[str, Any]


def samples_in(value: Any, name: str, reading: Reading) -> list[WrittenSample]:
    """Return the samples of a response: of a list one an item, of a chat its last message. Raises ValueError."""
    if isinstance(value, list) and not is_chat(value):
        return [_sample(item, name, f"{name} number {number}", reading) for number, item in enumerate(value, start=1)]
    return [_sample(value, name, name, reading)]


def is_chat(value: Any) -> bool:
    """Return whether a list is one chat. Messages that all are a model's own are answers, a sample each."""
    roles = [item.get("role") for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []
    return bool(roles) and len(roles) == len(value) and None not in roles and set(roles) != {"assistant"}


def said(message: Mapping[str, Any], reading: Reading) -> str:
    """Return what a message of a chat says, with its thinking where that stands in a field of its own; "" without content.

    Of a list of parts that is the text of those that have one.
    """
    content = message.get("content")
    if isinstance(content, list):
        parts = [part.get("text") for part in content if isinstance(part, Mapping)]
        content = "".join(part for part in parts if isinstance(part, str))
    if content is None:
        reading.notes["responses without content (a refusal, or a call of a tool) are empty texts"] += 1
        content = ""
    return _with_thinking(text(content, "content"), message, reading)


def _sample(value: Any, column: str, name: str, reading: Reading) -> WrittenSample:
    if is_chat(value):
        return WrittenSample(_last(value, name, reading), {})
    if not isinstance(value, Mapping):
        return WrittenSample(text(value, name, "response"), {})
    if isinstance(value.get("message"), Mapping):
        return WrittenSample(said(value["message"], reading), value)
    if "role" in value:
        return WrittenSample(said(value, reading), value)
    there = {f"{column}.{key}": value[key] for key in TEXTS if value.get(key) is not None}
    if (chosen := one_of(there, "response")) is None:
        raise ValueError(
            f"{name} is an object that has {', '.join(map(str, value))[:100]}: name the text in it, as in "
            f"--field response={column}.NAME"
        )
    return WrittenSample(text(there[chosen], chosen, "response"), value)


def _last(chat: list[Mapping[str, Any]], name: str, reading: Reading) -> str:
    """Return what the model wrote at the end of a chat."""
    roles = [message["role"] for message in chat]
    if roles[-1] != "assistant":
        raise ValueError(
            f"{name} is a chat whose last message is of the role {str(roles[-1])[:40]!r}, not of the model"
        )
    if roles.count("assistant") > 1:
        reading.notes["chats have several turns of the model: the last one is the sample"] += 1
    return said(chat[-1], reading)


def _with_thinking(written: str, message: Mapping[str, Any], reading: Reading) -> str:
    """Return thinking that stands in a field of its own, its end and the answer; without a named end the answer alone."""
    thinking = next((message[name] for name in THINKING if isinstance(message.get(name), str) and message[name]), None)
    if thinking is None:
        return written
    if reading.thinking_end is None:
        reading.notes["responses have their thinking in a field of its own: without --thinking-end it is left out"] += 1
        return written
    return f"{thinking}{reading.thinking_end}{written}" if written else thinking


def beside_of(samples: list[WrittenSample], column: str, field: str) -> dict[str, list[Any]]:
    """Return what the samples' own objects hold of a field, by where it stands: a value each, None where one has none."""
    if not any(sample.beside for sample in samples):
        return {}
    found = {name: [sample.beside.get(name) for sample in samples] for name in NAMES[field]}
    if field == "generated_tokens":
        told = [sample.beside.get("tokens") for sample in samples]
        found["tokens"] = [None if isinstance(one, list) else one for one in told]  # a list is of the tokens themselves
    if ids := TOKEN_IDS.get(field):
        listed = [sample.beside.get(ids) for sample in samples]
        found[ids] = [len(one) if isinstance(one, list) else None for one in listed]
    return {f"{column}.{name}": values for name, values in found.items() if any(one is not None for one in values)}
