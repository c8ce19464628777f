"""Plain rows: a row a sample, or a row a problem with a list of samples."""

import re
from typing import Any

from gsr_dagster.method.rows import Row
from resources.problems.forms.fields import Reading, Samples, answer, count, finish_reason, plain, text, texts
from resources.problems.recorded_samples import Recorded

# Where a label may stand that nobody named.
LABEL_FIELDS = ("label", "correct", "score")
LIST_AS_TEXT = re.compile(r"""\s*\[\s*(['"]).*\1\s*\]\s*""", re.DOTALL)


def read_row(row: Row, reading: Reading) -> Samples:
    """Yield a row's samples, with fields of their own names or of those that they are mapped to."""
    problem_id, problem, gold = problem_of(row, reading)
    response = reading.require(row, "response")
    responses = response if isinstance(response, list) else [response]
    if not responses:
        reading.left_out["rows with an empty list of responses"] += 1
    per_sample = _per_sample(row, reading, len(responses) if isinstance(response, list) else None)
    shown = texts(reading.get(row, "candidates", "candidates"), reading.name("candidates"))
    logprobs = _logprobs(row, reading, len(responses) if isinstance(response, list) else None)
    for number, written in enumerate(responses):
        name = reading.name("response") + (f" number {number + 1}" if isinstance(response, list) else "")
        if isinstance(written, str) and LIST_AS_TEXT.fullmatch(written):
            reading.notes["responses look like a list that was written as one text: each is one sample"] += 1
        tokens = count(per_sample["generated_tokens"][number], reading.name("generated_tokens"))
        yield Recorded(
            problem_id,
            problem,
            gold,
            text(written, name, "response"),
            candidates=shown,
            generated_tokens=tokens,
            finish_reason=finish_reason(per_sample["finish_reason"][number]),
            label=reading.as_label(per_sample["label"][number], "label" in reading.fields),
            confidences=reading.confidences(logprobs[number], tokens),
        )


def problem_of(row: Row, reading: Reading) -> tuple[str, str, str]:
    """Return id, text and gold of a row's problem: from its fields, or from the file of problems by its id."""
    problem_id = reading.get(row, "problem_id", "problem_id")
    if reading.problems is not None and reading.get(row, "problem", "problem") is None:
        known = reading.require(row, "problem_id")
        try:
            problem, gold = reading.problems[plain(known, reading.name("problem_id"))]
        except KeyError:
            raise ValueError(f"problem {known!r} is not in the file of problems") from None
        return plain(known, "problem_id"), problem, gold
    problem = text(reading.require(row, "problem"), reading.name("problem"), "problem")
    gold = answer(reading.require(row, "answer"), reading.name("answer"))
    named = problem_id not in (None, "") and problem_id == problem_id  # NaN: missing, in a table of floats
    return plain(problem_id, reading.name("problem_id")) if named else problem, problem, gold


def _logprobs(row: Row, reading: Reading, responses: int | None) -> list[Any]:
    """Return the log-probabilities of each response: of a list of responses, a list of its length."""
    value = reading.get(row, "logprobs", "logprobs")
    if responses is None:
        return [value]
    if value is None:
        return [None] * responses
    if not isinstance(value, list) or len(value) != responses:
        has = f"{len(value)} of" if isinstance(value, list) else "one"
        raise ValueError(f"there are {responses} responses and {has} {reading.name('logprobs')}")
    return value


def _per_sample(row: Row, reading: Reading, responses: int | None) -> dict[str, list[Any]]:
    """Return what stands beside each response, None where nothing does: of a list of responses, lists of its length."""
    named = next((name for name in LABEL_FIELDS if name in row), None)
    beside = {
        "generated_tokens": reading.get(row, "generated_tokens", "generated_tokens"),
        "finish_reason": reading.get(row, "finish_reason", "finish_reason"),
        "label": reading.get(row, "label", named),
    }
    for field, value in beside.items():
        name = reading.fields.get(field) or (named if field == "label" else field)
        if isinstance(value, list):
            if responses is None:
                raise ValueError(f"{name} is a list of {len(value)}, and response is one text")
            if len(value) != responses:
                raise ValueError(f"there are {responses} responses and {len(value)} of {name}")
        elif responses is None or responses == 1 or field == "finish_reason":
            beside[field] = [value] * (responses or 1)
        else:
            if value is not None:
                reading.notes[f"rows have one {name} for several responses: it was not read"] += 1
            beside[field] = [None] * responses
    return beside
