"""The models of a file by the names that it has for them: each needs a key FAMILY-SCALE, and has its parameters if known.

>>> model_key("Qwen/Qwen2.5-Math-1.5B-Instruct"), size_of("Qwen/Qwen2.5-Math-1.5B-Instruct")
('qwen2.5mathinstruct-1.5b', 1500000000.0)
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from resources.problems.recorded_samples import ImportFileError

SIZE = re.compile(r"(?:^|(?<=[-_ ]))(\d+(?:\.\d+)?)([bm])(?=$|[-_ :])", re.IGNORECASE)
KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._]*-[A-Za-z0-9][A-Za-z0-9._-]*")
UNITS = {"b": 1e9, "m": 1e6}


@dataclass(frozen=True)
class NamedModel:
    """A model: its key in the experiment, and its parameters, None where nobody says them."""

    key: str
    parameters: float | None

    @property
    def family(self) -> str:
        return self.key.partition("-")[0]

    @property
    def scale(self) -> str:
        return self.key.partition("-")[2]


def named_models(names: Sequence[str], keys: Sequence[str], parameters: Sequence[str]) -> dict[str, NamedModel]:
    """Return the models of a file's names, by what was given as NAME=KEY and NAME=NUMBER, else by the names' own sizes.

    Raises ImportFileError where a name gives no key, or two names would be one model.
    """
    given_keys, given_parameters = _by_name(keys, "--model", names), _by_name(parameters, "--parameters", names)
    models = {}
    for name in names:
        key = given_keys.get(name) or model_key(name)
        if not KEY.fullmatch(key):
            raise ImportFileError(f"{key!r} is no FAMILY-SCALE of letters, digits, '.', '_' and '-', as qwen2.5-7b is")
        number = given_parameters.get(name)
        size = parameters_of(number) if number else (size_of(key) or size_of(name))
        models[name] = NamedModel(key, size)
    for name, model in models.items():
        if same := [other for other in names if other != name and models[other].key == model.key]:
            raise ImportFileError(
                f"{name!r} and {same[0]!r} would both be {model.key}: name one, as in --model '{name}=KEY'"
            )
    return models


def model_key(name: str) -> str:
    """Return FAMILY-SCALE of a name: its size is the scale, all else the family. Raises ImportFileError without either."""
    own = name.rpartition("/")[2].lower()
    if size := SIZE.search(own):
        family, scale = own[: size.start()] + own[size.end() :], size[0]
    else:
        family, _, scale = own.partition("-")
    family, scale = re.sub(r"[^a-z0-9.]", "", family), re.sub(r"[^a-z0-9.-]", "", scale)
    if not family or not scale:
        raise ImportFileError(f"{name!r} gives no FAMILY-SCALE: name it, as in --model '{name}=family-7b'")
    return f"{family}-{scale}"


def size_of(name: str) -> float | None:
    """Return the parameters that a name says, as 7b and 135m do; None where it says none."""
    size = SIZE.search(name.rpartition("/")[2])
    return float(size[1]) * UNITS[size[2].lower()] if size else None


def parameters_of(number: str) -> float:
    try:
        return float(number)
    except ValueError:
        raise ImportFileError(f"--parameters {number!r}: a number is wanted, as in 1.5e9") from None


def _by_name(given: Sequence[str], option: str, names: Sequence[str]) -> Mapping[str, str]:
    by_name = {}
    for text in given:
        name, equals, value = text.rpartition("=")
        if not equals or not value:
            raise ImportFileError(f"{option} {text!r}: with --model-column it is NAME=VALUE, a name of that column")
        if name not in names:
            raise ImportFileError(f"{option} {text!r}: no model has this name; there are {', '.join(names)}")
        by_name[name] = value
    return by_name
