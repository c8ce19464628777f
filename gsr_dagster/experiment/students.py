"""Students of the experiment file: whose candidates they learn from, from which teacher, and how they are trained."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag, ValidationError, model_validator

from gsr_dagster.experiment.settings import Count, Fraction, Rollouts, Section
from gsr_dagster.experiment.training.fine_tuning import Lora, Training
from gsr_dagster.experiment.training.reinforcement import Reinforcement
from gsr_dagster.method.mixture import Kind


class Teachers(Section):
    """Two teachers: one writes the refinements, the other the direct solutions."""

    refinements: str
    solutions: str


def _form(teacher: Any) -> str:
    """Return which of the two forms a teacher has in the file: a name, or one for each kind of row."""
    return "section" if isinstance(teacher, dict | Teachers) else "text"


def _with_method(training: Any) -> Any:
    """Return the settings of a training with their method: by imitation unless told otherwise."""
    return {"method": "sft", **training} if isinstance(training, dict) else training


AnyTraining = Annotated[Training | Reinforcement, Field(discriminator="method"), BeforeValidator(_with_method)]
# Of imitation: who writes what a student learns, and how its rows are chosen.
OF_IMITATION = ("teacher", "refinements", "solutions", "keep_when_all_correct", "identical_rows")


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

    With ``training: {method: grpo, rollouts: …}`` a student learns from rewards (Reinforcement). It has no
    teacher, no ``refinements`` and no ``solutions``: it writes both itself, while it is trained, to prompts of its
    own candidates. ``identical_rows`` and ``keep_when_all_correct`` are of imitation alone.
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
    training: AnyTraining = Training()

    @model_validator(mode="before")
    @classmethod
    def _writes_its_own_rollouts(cls, data: Any) -> Any:
        """Let a student that learns from rewards be its own teacher. Raises ValueError where another one is named."""
        training = data.get("training") if isinstance(data, dict) else None
        if not isinstance(training, dict) or training.get("method") != "grpo":
            return data
        if of_imitation := [name for name in OF_IMITATION if name in data]:
            raise ValueError(
                f"{', '.join(of_imitation)}: with training: {{method: grpo}} a student learns from rewards, and has no "
                "teacher and no rows to imitate: leave it out"
            )
        try:
            rollouts = Rollouts.model_validate(training.get("rollouts"))
        except ValidationError:  # told of training.rollouts
            rollouts = Rollouts(samples=2, temperature=1, max_new_tokens=1)
        return {"teacher": data.get("base", ""), "refinements": rollouts, "solutions": rollouts, **data}

    @property
    def by_rewards(self) -> bool:
        """Whether it learns from rewards, and so from no teacher."""
        return isinstance(self.training, Reinforcement)

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
        """The teachers whose texts it learns from, each once; none where it learns from rewards."""
        if self.by_rewards:
            return ()
        of_kind = {"refinement": (self.refiner,), "direct": (self.solver,)}
        return of_kind.get(self.rows, tuple(dict.fromkeys((self.refiner, self.solver))))

    @property
    def teachers_in_words(self) -> str:
        if self.by_rewards:
            return "none: rewards"
        return (
            self.refiner if self.refiner == self.solver else f"{self.refiner} (refinements), {self.solver} (solutions)"
        )

    def samples(self, asset: str) -> int:
        """Return how many samples a prompt are drawn for an asset of its teaching; none for rows that it does not learn."""
        refined, taught = self.rows != "direct", not self.by_rewards
        wanted = {
            "training_candidates": refined * self.candidates.samples,
            "teacher_refinements": (refined and taught) * self.refinements.samples,
            "teacher_solutions": (self.rows != "refinement" and taught) * self.solutions.samples,
        }
        return wanted[asset]

    @property
    def models(self) -> dict[str, str]:
        """The models or students that it is made with, by their place within the student."""
        found = {"base": self.base}
        if self.by_rewards:
            pass
        elif isinstance(self.teacher, str):
            found["teacher"] = self.teacher
        else:
            found |= {"teacher.refinements": self.teacher.refinements, "teacher.solutions": self.teacher.solutions}
        return found | ({"candidates_from": self.candidates_from} if self.candidates_from else {})
