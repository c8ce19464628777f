"""Students of the experiment file: whose candidates they learn from, from which teacher, and how they are trained."""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from gsr_dagster.experiment.settings import Count, Fraction, Rollouts, Section
from gsr_dagster.experiment.training.fine_tuning import Lora, Training
from gsr_dagster.method.mixture import Kind


class Teachers(Section):
    """Two teachers: one writes the refinements, the other the direct solutions."""

    refinements: str
    solutions: str


def _form(teacher: Any) -> str:
    """Return which of the two forms a teacher has in the file: a name, or one for each kind of row."""
    return "section" if isinstance(teacher, dict | Teachers) else "text"


class Student(Section):
    """A student: its base, whose candidates it learns from, its teacher, and the settings of each step.

    ``teacher`` is one model, or ``{refinements: A, solutions: B}``. Wherever a model is named,
    another student can be: it is trained first.

    ``rows`` chooses the mixture, and what it does not hold is not drawn. ``most_rows`` is how
    many training rows at most: the same number makes ablations comparable.

    ``groups`` refinement prompts a training problem, whose k candidates are others in each.
    ``identical_rows: once`` keeps one of the rows with the same prompt and answer, and
    ``rows_a_problem`` so many rows of each kind a problem. ``hard_share`` leaves out refinements
    of easy groups until so large a share are of hard ones, in which the vote is wrong.
    ``lora: null`` trains all weights.
    """

    base: str
    teacher: Annotated[Annotated[str, Tag("text")] | Annotated[Teachers, Tag("section")], Discriminator(_form)]
    candidates_from: str | None = None
    candidates: Rollouts
    refinements: Rollouts
    solutions: Rollouts
    groups: Count = 1
    keep_when_all_correct: Count = 4
    prompt_tokens: Count = 8192
    rows: Kind = "hybrid"
    most_rows: int | None = Field(default=None, ge=2)
    identical_rows: Literal["keep", "once"] = "keep"
    rows_a_problem: Count | None = None
    hard_share: Fraction | None = None
    lora: Lora | None = Lora()
    training: Training = Training()

    @property
    def sampler(self) -> str:
        """The model whose candidates the teacher refines: the base unless another is named."""
        return self.candidates_from or self.base

    @property
    def refiner(self) -> str:
        """The teacher that writes the refinements."""
        return self.teacher if isinstance(self.teacher, str) else self.teacher.refinements

    @property
    def solver(self) -> str:
        """The teacher that writes the direct solutions."""
        return self.teacher if isinstance(self.teacher, str) else self.teacher.solutions

    @property
    def teachers(self) -> tuple[str, ...]:
        """The teachers whose texts it learns from, each once."""
        of_kind = {"refinement": (self.refiner,), "direct": (self.solver,)}
        return of_kind.get(self.rows, tuple(dict.fromkeys((self.refiner, self.solver))))

    @property
    def teachers_in_words(self) -> str:
        return (
            self.refiner if self.refiner == self.solver else f"{self.refiner} (refinements), {self.solver} (solutions)"
        )

    def samples(self, asset: str) -> int:
        """Return how many samples a prompt are drawn for an asset of its teaching; none for rows that it does not learn."""
        refined = 0 if self.rows == "direct" else 1
        wanted = {
            "training_candidates": refined * self.candidates.samples,
            "teacher_refinements": refined * self.refinements.samples,
            "teacher_solutions": 0 if self.rows == "refinement" else self.solutions.samples,
        }
        return wanted[asset]

    @property
    def models(self) -> dict[str, str]:
        """The models or students that it is made with, by their place within the student."""
        found = {"base": self.base}
        if isinstance(self.teacher, str):
            found["teacher"] = self.teacher
        else:
            found |= {"teacher.refinements": self.teacher.refinements, "teacher.solutions": self.teacher.solutions}
        return found | ({"candidates_from": self.candidates_from} if self.candidates_from else {})
