"""Students of the experiment file: whose candidates they learn from, from which teacher, and how they are trained."""

from pydantic import Field

from gsr_dagster.experiment.settings import Count, Rollouts, Section
from gsr_dagster.method.mixture import Kind


class Lora(Section):
    """The adapter: rank and alpha of every linear layer."""

    rank: Count = 16
    alpha: Count = 32


class Training(Section):
    """Fine-tuning. ``refine_weight`` is the λ of docs/method.md; ``batch_size`` is in rows an optimiser step.

    ``processes`` share each step's rows, ``rows_at_once`` a process: neither changes what
    is learned.
    """

    epochs: float = Field(default=3, gt=0, le=1e6)
    learning_rate: float = Field(default=1e-4, gt=0)
    warmup: float = Field(default=0.1, ge=0, lt=1)
    batch_size: Count = 128
    rows_at_once: Count = 4
    processes: Count = 1
    max_length: Count = 24_576
    refine_weight: float = Field(default=0.5, ge=0, le=1)

    @property
    def rows_in_a_process(self) -> int:
        """The rows that one process computes at once: no more than its share of a step."""
        return min(self.rows_at_once, self.batch_size // self.processes or 1)


# Of its training: how it is computed, not what is learned.
NOT_LEARNED = ("processes", "rows_at_once")


class Student(Section):
    """A student: its base, whose candidates it learns from, its teacher, and the settings of each step.

    ``rows`` chooses the mixture, ``most_rows`` how many training rows at most: the same
    number makes ablations comparable. ``lora: null`` trains all weights.
    """

    base: str
    teacher: str
    candidates_from: str | None = None
    candidates: Rollouts
    refinements: Rollouts
    solutions: Rollouts
    keep_when_all_correct: Count = 4
    prompt_tokens: Count = 8192
    rows: Kind = "hybrid"
    most_rows: int | None = Field(default=None, ge=2)
    lora: Lora | None = Lora()
    training: Training = Training()

    @property
    def sampler(self) -> str:
        """The model whose candidates the teacher refines: the base unless another is named."""
        return self.candidates_from or self.base
