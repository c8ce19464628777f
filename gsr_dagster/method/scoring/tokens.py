"""Tokens of samples: those that were generated, and those that were read in prompts.

>>> Tokens.of([{"prompt_tokens": 10, "generated_tokens": 5}] * 2)
Tokens(generated=10, prompt=20)
>>> Tokens.of([{"prompt_tokens": 0, "generated_tokens": 5}])  # recorded without the length of its prompt
Tokens(generated=5, prompt=None)
"""

from collections.abc import Iterable
from dataclasses import dataclass

from gsr_dagster.method.rejection_sampling import UNASKED
from gsr_dagster.method.rows import Row


@dataclass(frozen=True)
class Tokens:
    """Tokens of some samples. Each sample reads its own prompt, as one that is asked for alone does.

    ``prompt`` is None where the prompt of one of them was not counted. A prompt that was never sent costs nothing.
    """

    generated: float = 0
    prompt: float | None = 0

    @classmethod
    def of(cls, samples: Iterable[Row]) -> "Tokens":
        """Return the tokens of samples, of their ``generated_tokens``, ``prompt_tokens`` and ``finish_reason``."""
        drawn = list(samples)
        return cls(sum(row["generated_tokens"] for row in drawn), total(map(prompt_tokens, drawn)))

    def __add__(self, other: "Tokens") -> "Tokens":
        return Tokens(self.generated + other.generated, total([self.prompt, other.prompt]))


NO_TOKENS = Tokens()


def total(counts: Iterable[float | None]) -> float | None:
    """Return the sum of counts, None where one of them is not known."""
    whole: float = 0
    for count in counts:
        if count is None:
            return None
        whole += count
    return whole


def mean(counts: Iterable[float | None]) -> float | None:
    """Return the mean of counts, None where there are none, or one of them is not known."""
    every = list(counts)
    whole = total(every)
    return None if whole is None or not every else whole / len(every)


def prompt_tokens(sample: Row) -> float | None:
    """Return the tokens that one sample read, None where its prompt was not counted; a prompt that was not sent has 0."""
    if sample.get("finish_reason") == UNASKED:
        return 0
    read = sample.get("prompt_tokens")
    # No prompt is empty: 0 is what an import writes of a prompt whose length nobody recorded.
    return None if read == 0 and sample["generated_tokens"] else read
