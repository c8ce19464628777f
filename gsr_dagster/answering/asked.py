"""What a request asks for: its fields are checked, and what it leaves out is as the experiment evaluates.

A field that is known and not supported is refused unless it has the value that switches it off. One that
does nothing here is named in the answer.
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gsr_dagster.answering.refusals import RefusedError
from gsr_dagster.answering.subject import Subject
from gsr_dagster.answering.turns import read_turns
from gsr_dagster.experiment.experiment import Stage
from gsr_dagster.experiment.likeness import did_you_mean
from gsr_dagster.experiment.problems.datasets import Domain
from gsr_dagster.experiment.settings import Count, Fraction, RolloutSettings
from gsr_dagster.method.prompting.prompts import Message

Method = Literal["vote", "refine", "refine_when_unsure"]

MOST_CANDIDATES = 128
MOST_ROUNDS = 16
NO_TOOLS = "tools are not called here"
NO_LOGPROBS = "log-probabilities are not given"
NO_PENALTY = "it is no setting of the evaluation, so no engine has it"
# Fields of OpenAI's API that change an answer and are not supported: the values that switch them off, and why.
UNSUPPORTED: dict[str, tuple[Sequence[Any], str]] = {
    "n": ([1], "a request gets one answer; k says how many candidates are sampled for it"),
    "logprobs": ([False], NO_LOGPROBS),
    "top_logprobs": ([0], NO_LOGPROBS),
    "tools": ([[]], NO_TOOLS),
    "tool_choice": (["none", "auto"], NO_TOOLS),
    "functions": ([[]], NO_TOOLS),
    "function_call": (["none", "auto"], NO_TOOLS),
    "web_search_options": ([], NO_TOOLS),
    "frequency_penalty": ([0], NO_PENALTY),
    "presence_penalty": ([0], NO_PENALTY),
    "logit_bias": ([{}], NO_PENALTY),
    "response_format": ([{"type": "text"}], "answers are text in no other form"),
    "modalities": ([["text"]], "answers are text"),
    "audio": ([], "answers are text"),
    "prediction": ([], "nothing is predicted"),
    "reasoning_effort": ([], "the experiment file says how a model thinks"),
    "verbosity": ([], "the prompts are those of the evaluation"),
}
# Fields that change nothing here.
NOTHING_HERE = (
    *("user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key", "prompt_cache_retention"),
    "parallel_tool_calls",
)


class StreamOptions(BaseModel):
    """What a stream holds besides the text."""

    model_config = ConfigDict(strict=True)

    include_usage: bool = False


class Fields(BaseModel):
    """The fields that shape an answer."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    k: Annotated[int, Field(ge=1, le=MOST_CANDIDATES)] | None = None
    rounds: Annotated[int, Field(ge=1, le=MOST_ROUNDS)] = 1
    method: Method = "refine"
    threshold: Fraction = 1.0
    domain: Domain | None = None
    seed: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: Count | None = None
    max_completion_tokens: Count | None = None
    stop: str | list[str] | None = None
    stream: bool = False
    stream_options: StreamOptions = StreamOptions()


@dataclass(frozen=True)
class Asked:
    """A problem, the turns before it, and how it is to be answered. ``ignored`` are fields that do nothing."""

    problem: str
    before: Sequence[Message]
    method: Method
    k: int
    rounds: int
    threshold: float
    domain: Domain
    seed: int
    direct: RolloutSettings
    refinement: RolloutSettings
    stream: bool
    include_usage: bool
    ignored: Sequence[str]

    def rounds_after(self, agreement: float) -> int:
        """Return how often the candidates are refined whose leading answer has such a share, 0..1."""
        sure = self.method == "refine_when_unsure" and agreement >= self.threshold
        return 0 if self.method == "vote" or sure else self.rounds


def read_request(body: Any, subject: Subject) -> Asked:
    """Return what a request asks of a subject. Raises RefusedError."""
    if not isinstance(body, dict):
        raise RefusedError("the body is no JSON object")
    said = {name: value for name, value in body.items() if value is not None}
    if (model := said.pop("model", None)) != subject.name:
        raise RefusedError(
            f"there is no model {model!r} here: {subject.name} answers", "model", "model_not_found", status=404
        )
    turns, ignored = read_turns(said.pop("messages", None))
    ignored += [name for name in NOTHING_HERE if said.pop(name, None) is not None]
    fields = _fields(_supported(said))
    if fields.method == "vote" and "rounds" in said:
        ignored.append("rounds")
    if fields.method != "refine_when_unsure" and "threshold" in said:
        ignored.append("threshold")
    return Asked(
        problem=turns[-1]["content"],
        before=turns[:-1],
        method=fields.method,
        k=fields.k or subject.experiment.k,
        rounds=fields.rounds,
        threshold=fields.threshold,
        domain=fields.domain or subject.domain,
        seed=secrets.randbelow(2**31) if fields.seed is None else fields.seed,
        direct=_rollout(fields, subject, "direct"),
        refinement=_rollout(fields, subject, "refinement"),
        stream=fields.stream,
        include_usage=fields.stream_options.include_usage,
        ignored=ignored,
    )


def _supported(said: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields without those that are switched off. Raises RefusedError for one that is not."""
    for name, value in said.items():
        if name in UNSUPPORTED and value not in UNSUPPORTED[name][0]:
            raise RefusedError(f"{name} is not supported: {UNSUPPORTED[name][1]}", name, "unsupported_parameter")
        if name not in UNSUPPORTED and name not in Fields.model_fields:
            near = did_you_mean(name, Fields.model_fields)
            raise RefusedError(f"there is no field {name!r}{near}", name, "unknown_parameter")
    if "max_tokens" in said and "max_completion_tokens" in said:
        raise RefusedError("max_tokens and max_completion_tokens say the same: one of them is wanted", "max_tokens")
    return {name: value for name, value in said.items() if name not in UNSUPPORTED}


def _fields(said: Mapping[str, Any]) -> Fields:
    try:
        return Fields(**said)
    except ValidationError as error:
        raise _fault(error) from None


def _rollout(fields: Fields, subject: Subject, stage: Stage) -> RolloutSettings:
    """Return how the samples of a stage are drawn. Raises RefusedError where that cannot be."""
    most = fields.max_completion_tokens or fields.max_tokens
    context = subject.engine.context
    if most and context and most > context:
        raise RefusedError(f"max_tokens: {most} are more than the model's context of {context} tokens", "max_tokens")
    stop = [fields.stop] if isinstance(fields.stop, str) else fields.stop
    asked = {"temperature": fields.temperature, "top_p": fields.top_p, "max_new_tokens": most, "stop": stop}
    own = subject.experiment.rollout(stage, subject.name).model_dump(exclude={"logprobs"})
    try:
        return RolloutSettings(**own | {name: value for name, value in asked.items() if value is not None})
    except ValidationError as error:
        raise _fault(error) from None


def _fault(error: ValidationError) -> RefusedError:
    """Return the refusal of what pydantic found first."""
    first = error.errors()[0]
    param = str(first["loc"][0]) if first["loc"] else None
    said = first["msg"].removeprefix("Value error, ")  # before a sentence of our own
    return RefusedError(f"{param}: {said}" if param else said, param)
