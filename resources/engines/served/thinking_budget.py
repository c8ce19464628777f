"""Thinking budgets on servers that have none of their own: budget forcing (arXiv 2501.19393).

The model thinks to its budget. Where it has not ended by then, the end marker is appended and
the model goes on from there: as a plain completion where the server turns chats into tokens,
else as the beginning of an assistant's message.
"""

from __future__ import annotations

from typing import Any

from gsr_dagster.experiment.settings import RolloutSettings
from gsr_dagster.method.rejection_sampling import cut_off
from resources.engines.base import Sample
from resources.engines.served.answers import DEFAULT_END, Written, usage, written
from resources.engines.served.counting import ServerTokens
from resources.engines.served.drawing import Draw, Reading
from resources.engines.served.model import ServedModel

TOKENS_LOOKED_AT = 16


def answered_after_thinking(
    model: ServedModel, draw: Draw, settings: RolloutSettings, reading: Reading
) -> list[Sample]:
    """Return one sample whose thinking has at most ``thinking_tokens``; its answer has what is left of the limit."""
    end, counter = reading.thinking_end or DEFAULT_END, model.counter
    asked = model.body(draw, settings, settings.thinking_tokens)
    first = reading.samples(draw, model.post("/chat/completions", asked), model.form.limit(asked))[0]
    if not cut_off(first.finish_reason):
        return [first]
    marker = "" if end in first.text else f"\n{end}\n\n"
    spent = first.generated_tokens + len(counter.encode(marker))
    left = settings.max_new_tokens - spent
    if left < 1:
        return [first]
    begun = first.text + marker
    choice, generated = _continued(model, draw, model.body(draw, settings, left), begun, reading)
    return [
        draw.sample(
            0, begun + choice.thinking + choice.content, choice.finish_reason, first.prompt_tokens, spent + generated
        )
    ]


def _continued(
    model: ServedModel, draw: Draw, body: dict[str, Any], begun: str, reading: Reading
) -> tuple[Written, int]:
    """Return what a server writes after a begun answer, and its tokens."""
    counter, messages = model.counter, draw.request.messages
    prompt = counter.chat_ids(messages) if isinstance(counter, ServerTokens) else None
    if prompt is not None:
        opening = _opening(reading, counter.decode(prompt[-TOKENS_LOOKED_AT:]))
        of_chats = ("messages", "chat_template_kwargs", "reasoning_effort", "max_completion_tokens")
        asked = {name: value for name, value in body.items() if name not in of_chats}
        limit = body.get("max_completion_tokens", body.get("max_tokens"))
        asked |= {"prompt": [*prompt, *counter.encode(opening + begun)], "max_tokens": limit}
        told = model.post("/completions", asked)
    else:
        flags = {"continue_final_message": True, "add_generation_prompt": False} if model.form.prefilled else {}
        beginning = {"role": "assistant", "content": begun}
        told = model.post("/chat/completions", body | {"messages": [*messages, beginning], **flags})
    choice, generated = written(told)[0], usage(told).generated
    return choice, len(counter.encode(choice.content)) if generated is None else generated


def _opening(reading: Reading, prompt_end: str) -> str:
    """Return the marker that begins thinking where the model wrote it itself and the server took it out."""
    end = reading.thinking_end or DEFAULT_END
    opening = end.replace("</", "<", 1)
    return f"{opening}\n" if reading.thinking_apart and opening != end and opening not in prompt_end else ""
