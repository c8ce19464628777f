"""What is wrong with a value of the experiment file: pydantic's errors in plain words.

    line 4, k: a whole number from 1 is wanted, as in 4, and it says 'four'

Of pydantic only the kind of an error and its place are taken, never its sentence. A kind
that is not named here is told by what is wanted, so that nothing of it can come through.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any, get_args

import yaml
from pydantic_core import ErrorDetails

from gsr_dagster.experiment.faults.levels import missing_names
from gsr_dagster.experiment.faults.unknown_keys import kinds_with, meant_here, unknown_key
from gsr_dagster.experiment.faults.wanted import Spot, is_union, kind_of, listed, spot_of, spots_of_truth_values, tag_of
from gsr_dagster.experiment.likeness import did_you_mean, which
from gsr_dagster.experiment.line_numbers import Fault, found_at, on_one_line
from gsr_dagster.experiment.settings import MOST

LONGEST = 60
TIMES = {"k": 1e3, "m": 1e6, "b": 1e9, "%": 0.01}
WITH_UNIT = re.compile(r"([-+]?\d+(?:[.,]\d+)?)\s*([kmb%]?)", re.IGNORECASE)


def faults_of(errors: Sequence[ErrorDetails], data: Any, root: yaml.Node | None) -> Iterator[Fault]:
    """Yield what is wrong with the file, by pydantic's errors: each thing once."""
    lacking = list(missing_names(data))
    for one in lacking:
        yield Fault(one.place, one.what)
    spots = [spot_of(error["loc"]) for error in errors]
    meant = {
        (spot.place[:-1], meant_here(spot.key, spot.owner.model_fields))
        for spot, error in zip(spots, errors, strict=True)
        if error["type"] == "extra_forbidden" and spot.owner
    }
    for spot, error in zip(spots, errors, strict=True):
        if any(one.covers(spot.place) for one in lacking):
            continue
        if error["type"] == "missing" and (spot.place[:-1], spot.key) in meant:
            continue  # it stands there, misspelt
        node = found_at(root, spot.place)[1]
        if spot.branch and ("tuple[" in spot.branch) != isinstance(_value(data, spot), list):
            continue  # of a text or a list, only what the value is meant to be
        yield Fault(spot.place, in_plain_words(error, spot, node, _value(data, spot)))


def truth_values(data: Any, root: yaml.Node | None) -> Iterator[Fault]:
    """Yield every yes and no that stands for a number: pydantic would take them for 1 and 0."""
    for spot in spots_of_truth_values(data):
        yield Fault(spot.place, _of_value(spot, found_at(root, spot.place)[1], _value(data, spot)))


def in_plain_words(error: ErrorDetails, spot: Spot, node: yaml.Node | None, value: Any) -> str:
    """Return what is wrong, and what would be right."""
    kind = error["type"]
    if kind == "value_error":  # our own sentence
        return error["msg"].removeprefix("Value error, ")
    if kind in ("extra_forbidden", "invalid_key"):
        return unknown_key(spot.key if node is None else _key_text(spot, error), spot, value)
    if spot.is_name:
        read = _read_as(error["input"]) or "no text"
        return f'a name is a text, and YAML reads {spot.key} as {read}: write it in quotes, "{spot.key}"'
    if kind == "missing":
        return f"this key is missing: {spot.wanted} is wanted{_as_in(spot)}"
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        return _of_kinds(spot, value)
    return _of_value(spot, node, value)


def _of_kinds(spot: Spot, value: Any) -> str:
    """Return what is wrong with the kind of a section."""
    kinds, tag = [kind for kind in map(kind_of, spot.sections) if kind], tag_of(spot.sections[0])
    given = value.get(tag) if isinstance(value, Mapping) else None
    if given is not None:
        return f"there is no {tag} {_short(given)!r}{which(str(given), kinds)}"
    keys = [str(key) for key in value] if isinstance(value, Mapping) else []
    like = kinds_with(keys, spot.sections) if keys else []
    hint = f". Its keys are those of {listed(like, 'or')}" if 0 < len(like) < len(kinds) else ""
    return f"kind is missing: there are {listed(kinds)}, as in {{kind: {(like or kinds)[0]}}}{hint}"


def _of_value(spot: Spot, node: yaml.Node | None, value: Any) -> str:
    """Return what is wanted, an example, and what stands there in its stead."""
    wanted = spot.wanted
    if isinstance(value, int | float) and not isinstance(value, bool) and value > MOST and wanted.startswith("a whole"):
        wanted += f" to {MOST:,}"
    said = _said(node, value)
    sentence = f"{wanted} is wanted{_as_in(spot)}, and {said}"
    if hint := _hint(spot, node, value):
        return f"{sentence}: {hint}"
    return sentence


def _as_in(spot: Spot) -> str:
    example = spot.example
    if spot.wanted.startswith("a list") and example and not example.startswith("["):  # of one thing or several
        example = f"[{example}]"
    return f", as in {spot.key}: {example}" if example else ""


def _said(node: yaml.Node | None, value: Any) -> str:
    """Return what stands there, and as what YAML reads it where that is a surprise."""
    if value is None:
        return "nothing stands there" if _raw(node) in ("", None) else f"it says {_raw(node)}, which is nothing"
    if isinstance(value, Mapping):
        return f"a section stands there, with {listed([_short(key) for key in value][:5])}" if value else "it is empty"
    if isinstance(value, list | tuple):
        return "a list stands there" if value else "the list is empty"
    raw = _raw(node) or str(value)
    if isinstance(value, bool):
        read = str(value).lower()
        return f"it says {raw}" + (f", which YAML reads as {read}" if raw.lower() != read else "")
    if isinstance(value, date):
        return f"it says {raw}, which YAML reads as a date"
    if isinstance(value, int | float):
        read = "" if raw.replace("_", "").lower() == str(value) else f", which YAML reads as {_short(value)}"
        return f"it says {_short(raw)}{read}"
    return f"it says {_short(value)!r}" if value != "" else "the text is empty"


def _read_as(value: Any) -> str:
    """Return what YAML takes a value for that is no text."""
    if isinstance(value, bool):
        return str(value).lower()
    return "a date" if isinstance(value, date) else "a number" if isinstance(value, int | float) else ""


def _hint(spot: Spot, node: yaml.Node | None, value: Any) -> str:
    """Return what to write in its stead, where that can be known."""
    wanted, raw = spot.wanted, _raw(node) or ""
    if value is False and is_union(spot.annotation) and type(None) in get_args(spot.annotation):
        return f"write {spot.key}: null for none"
    if "number" in wanted and isinstance(value, str):
        number = _meant_number(value)
        if number is None or not spot.takes(number) or ("whole" in wanted and number % 1):
            return ""
        return f"write {_digits(number)}"
    if (
        "number" in wanted
        and isinstance(value, float)
        and "whole" in wanted
        and value.is_integer()
        and spot.takes(value)
    ):
        return f"write {int(value)}"
    if wanted.startswith(("a text", "a path")) and isinstance(value, bool | int | float | date):
        return f'write it in quotes, "{raw}"'
    if wanted.startswith("a list") and isinstance(value, Mapping):
        return "write '- ' before each of its items"
    if wanted.startswith("a list") and value is not None and not isinstance(value, list):
        items = (
            [part.strip() for part in _short(value).split(",")] if isinstance(value, str) and "," in value else [raw]
        )
        return f"write [{', '.join(items)}]"
    if spot.sections and isinstance(value, str) and value in map(kind_of, spot.sections):
        return f"write {spot.key}: {{{tag_of(spot.sections[0])}: {value}}}"
    if wanted.startswith("a section") and isinstance(value, list):
        return "leave the '- ' at the beginning of its lines out"
    if wanted.startswith("a section") and value is None:
        needed = spot.owner is None or spot.owner.model_fields[spot.key].is_required()
        return f"write its keys indented under it{'' if needed else ', or leave it out'}"
    if " or " in wanted and isinstance(value, str):
        return did_you_mean(value, re.split(", | or ", wanted)).removeprefix(": ")
    return ""


def _meant_number(text: str) -> float | None:
    """Return the number that a text means, as 5e5, 7b, 95% and 0,7 do."""
    try:
        return float(text)
    except ValueError:
        found = WITH_UNIT.fullmatch(text.strip())
        if found is None:
            return None
        return float(found[1].replace(",", ".")) * TIMES.get(found[2].lower(), 1)


def _digits(number: float) -> str:
    if number % 1 == 0 and abs(number) < 1e16:
        return str(int(number))
    return f"{number:g}"


def _raw(node: yaml.Node | None) -> str | None:
    return _short(node.value) if isinstance(node, yaml.ScalarNode) else None


def _short(value: Any) -> str:
    text = on_one_line(str(value))
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def _key_text(spot: Spot, error: ErrorDetails) -> str:
    return _short(error["input"] if error["type"] == "invalid_key" else spot.key)


def _value(data: Any, spot: Spot) -> Any:
    """Return what the file has at a place, None where it has nothing."""
    for step in spot.place:
        if isinstance(data, Mapping):
            data = next((value for key, value in data.items() if key == step or str(key) == str(step)), None)
        elif isinstance(data, list) and isinstance(step, int) and step < len(data):
            data = data[step]
        else:
            return None
    return data
