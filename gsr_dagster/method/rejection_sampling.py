"""Rejection sampling: which of a teacher's samples a student learns from.

>>> keep_refinements([True, False, True], keep_when_all_correct=1, rng=random.Random(0))
[0, 2]
>>> keep_refinements([True, True, True], keep_when_all_correct=1, rng=random.Random(0))
[1]
"""

import random
from collections.abc import Sequence

from gsr_dagster.method.rows import Row

# What servers call a text that the model ended: OpenAI and vLLM, text-generation-inference, Anthropic, Cohere.
OWN_ENDS = ("stop", "eos", "eos_token", "stop_sequence", "end_turn", "complete")
# And one that a limit cut off: OpenAI and vLLM, Anthropic and Gemini, Mistral and inspect_ai.
LIMITS = ("length", "max_tokens", "max_output_tokens", "model_length", "model_context_window_exceeded")
# Of a prompt that no model can take: it was not asked, and the sample has no text.
UNASKED = "unasked"


def ended_by_itself(finish_reason: str) -> bool:
    """Return whether a finish reason says that the model ended its text."""
    return finish_reason.lower() in OWN_ENDS


def cut_off(finish_reason: str) -> bool:
    """Return whether a finish reason says that the token limit cut the text off."""
    return finish_reason.lower() in LIMITS


def ending(finish_reason: str) -> str:
    """Return how a text ended, in words.

    >>> ending("stop"), ending("length"), ending("content_filter")
    ('ended by itself', 'cut off by the token limit', 'broken off (content_filter)')
    """
    if ended_by_itself(finish_reason):
        return "ended by itself"
    return "cut off by the token limit" if cut_off(finish_reason) else f"broken off ({finish_reason})"


def teaches(row: Row) -> bool:
    """Return whether a teacher sample can teach: a right answer, and an end of its own.

    Not one that the token limit, a filter or a fault broke off.
    """
    return row["correct"] and ended_by_itself(row["finish_reason"])


def keep_refinements(correct: Sequence[bool], keep_when_all_correct: int, rng: random.Random) -> list[int]:
    """Return which of a prompt's teacher outputs to keep, as sorted indices.

    The correct ones; where every one is correct the prompt is easy, and
    ``keep_when_all_correct`` of them are drawn (docs/method.md, training data, 3).
    """
    kept = [index for index, is_correct in enumerate(correct) if is_correct]
    if len(kept) == len(correct) > keep_when_all_correct:
        kept = sorted(rng.sample(kept, keep_when_all_correct))
    return kept
