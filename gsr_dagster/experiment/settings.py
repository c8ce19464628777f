"""What the sections of an experiment file share: their numbers and paths, rollout settings, the lines of the checks."""

from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    model_serializer,
    model_validator,
)

MOST = 1_000_000_000  # beyond it a number is meant as a joke
Count = Annotated[int, Field(ge=1, le=MOST)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]  # what numpy, torch and Trainer take
Fraction = Annotated[float, Field(ge=0, le=1)]


class Section(BaseModel):
    """A part of the experiment file: unknown keys are refused, nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def from_folder(path: Path, info: ValidationInfo) -> Path:
    """Return a path of the experiment file, which stands relative to the file's folder."""
    folder = (info.context or {}).get("folder", Path.cwd())
    try:
        return (folder / path.expanduser()).resolve()
    except (OSError, RuntimeError, ValueError) as error:  # a home or a loop of links that there is not
        raise ValueError(f"{str(path)!r} is no path: {error}") from None


HUB_SOURCE = r"hf:[\w.-]+/[\w.-]+@[\w.-]+(?:/[\w.-]+)*"


def refuse_path(source: str) -> str:
    """Return a source KIND:PATH-OR-NAME. Raises ValueError where the path cannot be one, or a hub's name leads up."""
    kind, _, name = source.partition(":")
    if "\0" in name or (kind == "hf" and ".." in name):
        raise ValueError(f"{source!r} is not {kind}: with a name that can be one")
    try:
        Path(name).expanduser()
    except RuntimeError as error:
        raise ValueError(f"{source!r}: {error}") from None
    return source


OFF = ("top_k", "min_p", "repetition_penalty", "stop", "thinking_tokens", "logprobs")  # unless they are set


class RolloutSettings(Section):
    """How a model is sampled, by every engine alike. Temperature 0 decodes greedily.

    ``top_k``, ``min_p``, ``repetition_penalty`` and ``stop`` are off unless they are set here,
    whatever the model's folder asks for. ``thinking_tokens`` of ``max_new_tokens`` may be
    spent on thinking: there it is ended, and the model answers. ``logprobs`` keeps, of every token of a
    direct sample, how sure the model was: minus the mean log-probability of so many of the likeliest.
    """

    temperature: float = Field(default=0.7, ge=0, le=2)
    top_p: float = Field(default=0.95, gt=0, le=1)
    max_new_tokens: Count = 4096
    top_k: Count | None = None
    min_p: float | None = Field(default=None, gt=0, le=1)
    repetition_penalty: float | None = Field(default=None, gt=0, le=2)
    stop: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    thinking_tokens: Count | None = None
    logprobs: Annotated[int, Field(ge=1, le=20)] | None = None  # more than 20 no server gives

    @model_validator(mode="after")
    def _leaves_room_for_an_answer(self) -> Self:
        if self.thinking_tokens and self.thinking_tokens >= self.max_new_tokens:
            raise ValueError(
                f"thinking_tokens {self.thinking_tokens} leave no room for an answer: "
                f"fewer than max_new_tokens, {self.max_new_tokens}, are wanted"
            )
        if self.thinking_tokens and self.logprobs:
            raise ValueError(
                "logprobs: thinking that is ended at thinking_tokens is drawn in two parts, and has none: leave one of "
                "them out"
            )
        return self

    @model_serializer(mode="wrap")
    def _without_what_is_off(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what is off: fingerprints of samples drawn before it existed stay."""
        return {name: value for name, value in dump(self).items() if name not in OFF or value not in (None, (), [])}


class Rollouts(RolloutSettings):
    """Rollout settings with the number of samples per prompt. How a student's samples are drawn has no default."""

    temperature: float = Field(ge=0, le=2)
    max_new_tokens: Count = Field()
    samples: Count


class Judge(RolloutSettings):
    """A model that is asked about every answer: what the grader cannot decide, it decides.

    ``model`` is any model of the file; the other keys say how it is sampled.
    """

    model: str
    temperature: float = Field(default=0, ge=0, le=2)

    @property
    def rollout(self) -> RolloutSettings:
        return RolloutSettings(**self.model_dump(exclude={"model"}))


class Checks(Section):
    """Where the asset checks draw their lines, as shares 0..1; they change no artifact.

    Of samples: those cut off by the token limit, with thinking that never ends, with a text
    that their problem has already, without an answer, timed out in the grader, never asked
    since their prompt is over the context or was refused; of a judge's verdicts those that cannot be read. Of the
    teacher: right refinements, right solutions, all-wrong groups with a row in the training
    set, rows longer than the student reads. Of a training by rewards: groups with equal rewards. ``least_gap_lead`` is of the teacher's gap to
    the student's base's; the last two are of a student to its base, where the whole
    interval must say so.
    """

    most_truncated: Fraction = 0.1
    most_unclosed: Fraction = 0.05
    most_repeated: Fraction = 0.5
    most_without_answer: Fraction = 0.2
    most_timed_out: Fraction = 0.01
    most_unasked: Fraction = 0.01
    most_unread: Fraction = 0.1
    least_teacher_yield: Fraction = 0.1
    least_all_wrong_kept: Fraction = 0.1
    most_overlong: Fraction = 0.0
    most_without_gradient: Fraction = 0.9
    least_gap_lead: Fraction = 0.0
    most_pass_at_1_lost: Fraction = 0.0
    least_gap_gained: Fraction = 0.0
