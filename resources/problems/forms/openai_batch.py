"""The output file of OpenAI's batch API, which vLLM's run-batch writes too: a request's response a line."""

import re
from collections.abc import Mapping

from gsr_dagster.method.rows import Row
from resources.problems.forms.fields import Reading, Samples, at, count, finish_reason, plain, text
from resources.problems.forms.responses import said
from resources.problems.forms.rows import problem_of
from resources.problems.recorded_samples import Recorded

# A request's own number behind the problem's id, as in "aime-7_3" of problem "aime-7".
SAMPLE_NUMBER = re.compile(r"(.+?)[-_/:#.]\d+")


def read_request(row: Row, reading: Reading) -> Samples:
    """Yield the samples of a request: one a choice. Requests that failed are counted, and left out."""
    response = row.get("response") or {}
    if row.get("error") is not None or response.get("status_code") != 200:
        reading.left_out["requests that failed"] += 1
        return
    problem_id, problem, gold = _problem(row, reading)
    body = at(response, "body")
    choices = at(body, "choices")
    usage = body.get("usage") or {}
    tokens = count(usage.get("completion_tokens"), "usage.completion_tokens") if len(choices) == 1 else None
    prompt_tokens = count(usage.get("prompt_tokens"), "usage.prompt_tokens")
    for number, choice in enumerate(choices):
        message = choice.get("message") or {}
        written = said(message, reading) if message else at(choice, "text")
        refused = bool(message.get("refusal"))
        yield Recorded(
            problem_id,
            problem,
            gold,
            text(written, f"choices.{number}"),
            generated_tokens=tokens,
            prompt_tokens=prompt_tokens,
            finish_reason="refusal" if refused else finish_reason(choice.get("finish_reason")),
            label=reading.label(row) if len(choices) == 1 else None,
            confidences=reading.confidences(choice.get("logprobs"), tokens),
        )


def _problem(row: Row, reading: Reading) -> tuple[str, str, str]:
    """Return the problem of a request: from fields of the row, or by custom_id from the file of problems."""
    if "problem" in reading.fields:
        return problem_of({"problem_id": at(row, "custom_id"), **row}, reading)
    custom_id = plain(reading.require(row, "problem_id", "custom_id"), "custom_id")
    if reading.problems is None:
        raise ValueError("a batch's output holds no problems: name the file that does with --problems")
    problem_id = _known(custom_id, reading.problems)
    return (problem_id, *reading.problems[problem_id])


def _known(custom_id: str, problems: Mapping[str, object]) -> str:
    """Return the problem of a custom_id: that id itself, or ID with a number behind it."""
    if custom_id in problems:
        return custom_id
    numbered = SAMPLE_NUMBER.fullmatch(custom_id)
    shorter = custom_id
    while numbered:
        shorter = shorter[: numbered.end(1)]
        if shorter in problems:
            return shorter
        numbered = SAMPLE_NUMBER.fullmatch(shorter)
    raise ValueError(f"custom_id {custom_id!r} is no id of the file of problems, nor one with a number behind it")
