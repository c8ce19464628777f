"""What a run has had a server write, and the most that it may."""

import threading

from gsr_dagster.experiment.engines import OpenAI
from resources.engines.base import EngineError


class SpendingLimitError(EngineError):
    """The run has spent what the experiment file allows it."""


class Spending:
    """Tokens that one server's model read and wrote in this process, over all that was asked of it."""

    def __init__(self, settings: OpenAI):
        self.settings = settings
        self.prompt = self.generated = 0
        self._lock = threading.Lock()

    def add(self, prompt: int, generated: int) -> None:
        with self._lock:
            self.prompt += prompt
            self.generated += generated

    @property
    def cost(self) -> float:
        """The money of it, at the file's prices; 0 where it names none."""
        price = self.settings.price
        return price.of(self.prompt, self.generated) if price else 0.0

    def __str__(self) -> str:
        money = f", {self.cost:,.2f} at the file's prices" if self.settings.price else ""
        return f"{self.prompt:,} tokens of prompts and {self.generated:,} generated{money}"

    def refuse_more(self) -> None:
        """Raise SpendingLimitError where a limit is reached. What is under way by then still comes."""
        most_tokens, most_cost = self.settings.most_tokens, self.settings.most_cost
        reached = []
        if most_tokens is not None and self.prompt + self.generated >= most_tokens:
            reached.append(f"most_tokens {most_tokens:,}")
        if most_cost is not None and self.cost >= most_cost:
            reached.append(f"most_cost {most_cost:,.2f}")
        if reached:
            raise SpendingLimitError(
                f"{self.settings.model}: {' and '.join(reached)} is reached with {self}. What was drawn is kept; "
                "raise the limit and run again to go on"
            )


_SPENT: dict[tuple[str, ...], Spending] = {}


def spending(settings: OpenAI) -> Spending:
    """Return what this process has spent on a served model: an engine that is loaded again goes on counting."""
    spent = _SPENT.setdefault((*settings.base_urls, settings.model), Spending(settings))
    spent.settings = settings
    return spent
