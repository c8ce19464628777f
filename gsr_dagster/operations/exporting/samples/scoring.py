"""What is counted of a pool while its candidates go by."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from gsr_dagster.method.rows import Row


@dataclass
class Tally:
    """The candidates of a pool and their tokens, and the share of right ones of each problem that can be scored."""

    samples: int = 0
    unscored: int = 0
    most: int = 0
    prompt_tokens: int = 0
    generated_tokens: int = 0
    shares: list[float] = field(default_factory=list)

    def counted(self, problem: Iterable[Row]) -> Iterator[Row]:
        """Yield the candidates of a problem, each counted."""
        scored, of_problem = list[bool](), 0
        for row in problem:
            of_problem += 1
            self.prompt_tokens += row["prompt_tokens"]
            self.generated_tokens += row["generated_tokens"]
            if row["correct"] is not None:
                scored.append(row["correct"])
            yield row
        self.samples += of_problem
        self.unscored += of_problem - len(scored)
        self.most = max(self.most, of_problem)
        if scored:
            self.shares.append(sum(scored) / len(scored))

    @property
    def pass_at_1(self) -> float | None:
        """The mean share of right candidates over problems, None where no problem can be scored."""
        return sum(self.shares) / len(self.shares) if self.shares else None
