"""What is counted of a pool while its candidates go by."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from gsr_dagster.method.rows import Row


@dataclass
class Tally:
    """The problems and candidates of a pool, and their tokens; ``shares`` of right ones, of each problem that can be scored.

    ``most`` candidates has the problem with the most, ``unscored`` have no verdict.
    """

    problems: int = 0
    samples: int = 0
    unscored: int = 0
    most: int = 0
    prompt_tokens: int = 0
    generated_tokens: int = 0
    shares: list[float] = field(default_factory=list)

    def count(self, candidates: Sequence[Row]) -> None:
        """Count the candidates of a problem."""
        scored = [row["correct"] for row in candidates if row["correct"] is not None]
        self.problems += 1
        self.samples += len(candidates)
        self.unscored += len(candidates) - len(scored)
        self.most = max(self.most, len(candidates))
        self.prompt_tokens += sum(row["prompt_tokens"] for row in candidates)
        self.generated_tokens += sum(row["generated_tokens"] for row in candidates)
        if scored:
            self.shares.append(sum(scored) / len(scored))

    @property
    def pass_at_1(self) -> float | None:
        """The mean share of right candidates over problems, None where no problem can be scored."""
        return sum(self.shares) / len(self.shares) if self.shares else None
