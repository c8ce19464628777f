"""Plain rows: a row a sample, or a row a problem with a list of samples."""

import json
import re
from typing import Any

from gsr_dagster.method.rows import Row
from resources.problems.forms.columns import LISTS, TOKEN_IDS, column, empty, find, one_of, require
from resources.problems.forms.fields import Reading, Samples, answer, finish_reason, plain, text, texts
from resources.problems.forms.responses import WrittenSample, beside_of, is_chat, samples_in
from resources.problems.recorded_samples import Recorded

LIST_AS_TEXT = re.compile(r"""\s*\[\s*(['"]).*\1\s*\]\s*""", re.DOTALL)
TOKENS = ("generated_tokens", "prompt_tokens")
BESIDE = (*TOKENS, "finish_reason", "label", "score", "logprobs")
# One value of a row is that of each of its samples.
OF_ALL_SAMPLES = ("finish_reason", "prompt_tokens")


def read_row(row: Row, reading: Reading) -> Samples:
    """Yield a row's samples, with fields under names that people give them or those that they are mapped to."""
    problem_id, problem, gold = problem_of(row, reading)
    name, response = require(row, reading, "response")
    response = _list_of_a_cell(response, name, reading)
    samples = samples_in(response, name, reading)
    if not samples:
        reading.left_out["rows with an empty list of responses"] += 1
    several = isinstance(response, list) and not is_chat(response)
    beside = {field: _beside(row, reading, field, samples, name, several) for field in BESIDE}
    shown_name, shown = find(row, reading, "candidates")
    candidates = texts(shown, shown_name)
    for number, sample in enumerate(samples):
        if LIST_AS_TEXT.fullmatch(sample.text):
            reading.notes["responses look like a list that was written as one text: each is one sample"] += 1
        of = {field: values[number] for field, (_, values) in beside.items()}
        tokens, prompt_tokens = (reading.as_tokens(of[field], beside[field][0], field) for field in TOKENS)
        yield Recorded(
            problem_id,
            problem,
            gold,
            sample.text,
            candidates=candidates,
            generated_tokens=tokens,
            prompt_tokens=prompt_tokens,
            finish_reason=finish_reason(of["finish_reason"]),
            label=reading.as_label(of["label"], "label" in reading.fields),
            score=reading.as_score(of["score"]),
            confidences=reading.confidences(of["logprobs"], tokens),
        )


def problem_of(row: Row, reading: Reading) -> tuple[str, str, str]:
    """Return id, text and gold of a row's problem: from its fields, or from the file of problems by its id."""
    id_name, problem_id = find(row, reading, "problem_id")
    if reading.problems is not None and find(row, reading, "problem")[1] is None:
        id_name, known = require(row, reading, "problem_id")
        try:
            problem, gold = reading.problems[plain(known, id_name)]
        except KeyError:
            raise ValueError(f"problem {known!r} is not in the file of problems") from None
        return plain(known, id_name), problem, gold
    problem_name, problem = require(row, reading, "problem")
    gold_name, gold = require(row, reading, "answer")
    written = text(problem, problem_name, "problem")
    return written if empty(problem_id) else plain(problem_id, id_name), written, answer(gold, gold_name)


def _list_of_a_cell(value: Any, name: str, reading: Reading) -> Any:
    """Return the list that a column named for one holds as JSON, as a cell of CSV does; else the value as it is."""
    if name.rpartition(".")[2] not in LISTS or not isinstance(value, str):
        return value
    found = _as_list(value)
    if isinstance(found, list) and all(isinstance(item, str | dict) for item in found):
        reading.notes[f"cells of {name} hold a list in JSON: each of its items is a sample"] += 1
        return found
    return value


def _beside(
    row: Row, reading: Reading, field: str, samples: list[WrittenSample], response: str, several: bool
) -> tuple[str, list[Any]]:
    """Return where a field stands, and a value for each sample, None where there is none: of a list, a list as long."""
    name = column(row, reading, field)
    value = reading.get(row, field, name)
    if several and isinstance(value, str):
        value = _as_list(value)
    if name == TOKEN_IDS["prompt_tokens"] and isinstance(value, list):
        value = len(value)
    listed = value if isinstance(value, list) and (several or field != "logprobs") else None
    if listed is not None and not several:
        if name in (field, reading.fields.get(field)):
            raise ValueError(f"{name} is a list of {len(listed)}, and {response} is one text")
        reading.notes[f"rows have a list of {name} for one response: it was not read"] += 1
        listed = value = None
    if listed is not None and len(listed) != len(samples):
        if name == "input_tokens" and field not in reading.fields:  # of the tokens themselves, in some files
            reading.notes[f"rows have a list of {name} that is not one of each response: it was not read"] += 1
            return name, [None] * len(samples)
        raise ValueError(f"there are {len(samples)} responses and {len(listed)} of {name}")
    if several and listed is None and field not in OF_ALL_SAMPLES and (field == "logprobs" or len(samples) != 1):
        if field == "logprobs" and value is not None:
            raise ValueError(f"there are {len(samples)} responses and one {name}")
        if not empty(value):
            reading.notes[f"rows have one {name} for several responses: it was not read"] += 1
        value = None
    own = {} if field in reading.fields else beside_of(samples, response, field)
    of_row = {} if name is None or empty(value) else {name: listed or [value] * len(samples)}
    there = {**own, **of_row}
    chosen = one_of(there, field)
    if chosen is None:
        return name or field, [None] * len(samples)
    reading.read_by_name(field, chosen)
    return chosen, there[chosen]


def _as_list(value: str) -> Any:
    """Return the list that a text is in JSON, else the text."""
    try:
        return json.loads(value) if value.lstrip().startswith("[") else value
    except (ValueError, RecursionError):
        return value
