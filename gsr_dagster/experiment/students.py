"""Students of the experiment file: whose candidates they learn from, from which teacher, and how they are trained."""

from pydantic import Field

from gsr_dagster.experiment.settings import Count, Rollouts, Section
from gsr_dagster.experiment.training.fine_tuning import Lora, Training
from gsr_dagster.method.mixture import Kind


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
