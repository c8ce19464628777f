"""Names that nobody knows: the nearest one that there is, and where a key belongs that stands at the wrong place."""

from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher
from typing import Any

from gsr_dagster.experiment.faults.wanted import Spot, homes, kind_of, listed
from gsr_dagster.experiment.likeness import nearest
from gsr_dagster.experiment.line_numbers import dotted, on_one_line
from gsr_dagster.experiment.settings import Section
from gsr_dagster.experiment.training.trainer_settings import KNOWN, instead_of

# What other programs call a key.
OTHER_NAMES = {
    "models": "families",
    "model_families": "families",
    "datasets": "benchmarks",
    "dataset": "source",
    "file": "source",
    "url": "base_url",
    "api_base": "base_url",
    "endpoint": "base_url",
    "type": "kind",
    "backend": "engine",
    "max_tokens": "max_new_tokens",
    "max_completion_tokens": "max_new_tokens",
    "max_length": "max_new_tokens",
    "num_samples": "samples",
    "n_samples": "samples",
    "n": "samples",
    "size": "parameters",
    "params": "parameters",
    "columns": "options",
    "lr": "learning_rate",
    "num_train_epochs": "epochs",
    "num_epochs": "epochs",
    "lora_alpha": "alpha",
    "init": "base",
    "r": "rank",
    "lora_r": "rank",
    "question": "problem",
    "prompt": "problem",
    "answer": "solution",
    "few_shot": "worked_examples",
    "reasoning_end": "thinking_end",
    "api_key": "api_key_variable",
    "api_key_env": "api_key_variable",
}
SURE = 0.85
LIKELY = 0.75
MOST_PLACES = 3


def unknown_key(key: str, spot: Spot, value: Any) -> str:
    """Return what is wrong with a key that a section has not, and which one is meant, or where it belongs."""
    section = spot.owner
    here = list(section.model_fields) if section else []
    parent = dotted(spot.place[:-1]) if spot.place[1:] else "the file"
    no = f"{parent} has no key {key!r}"
    if inner := _one_level_too_deep(section, value):
        return f"{no}, and {inner} under it is a level too deep: write it straight under {parent}"
    if section in KNOWN and (instead := instead_of(key, section)):
        return instead
    if known := meant_here(key, here):
        sure = SequenceMatcher(None, _plain(key), known).ratio() >= LIKELY or OTHER_NAMES.get(_plain(key)) == known
        return f"{no}: did you mean {known}?{'' if sure else f' There are {listed(sorted(here))}'}"
    name = _plain(key)
    places = homes()
    other = next((known for known in (name, OTHER_NAMES.get(name)) if known in places), None)
    other = other or nearest(name, places, 0.8)
    if other and (elsewhere := [place for place in places[other] if not _same(place, parent)]):
        where = listed([place or "the top of the file" for place in elsewhere[:MOST_PLACES]], "or")
        more = " and other places" if len(elsewhere) > MOST_PLACES else ""
        found = f"{key} belongs" if other == key else f"did you mean {other}, which belongs"
        return f"{no}: {found} to {where}{more}{'' if other == key else '?'}"
    return f"{no}; there are {listed(sorted(here))}"


def meant_here(key: str, here: Iterable[str]) -> str | None:
    """Return the key of a section that is meant by one that it has not; None where it may belong elsewhere."""
    here, name = list(here), _plain(key)
    if name in here:
        return name
    if OTHER_NAMES.get(name) in here:
        return OTHER_NAMES[name]
    known = nearest(name, here)
    if known and (name not in homes() or SequenceMatcher(None, name, known).ratio() >= SURE):
        return known
    return None


def kinds_with(keys: Iterable[str], sections: Sequence[type[Section]]) -> list[str]:
    """Return the kinds that know all of these keys."""
    return [kind for one in sections if (kind := kind_of(one)) and set(keys) <= set(one.model_fields)]


def _one_level_too_deep(section: type[Section] | None, value: Any) -> str:
    """Return the keys of a section that stand under a key that it has not."""
    inner = [on_one_line(str(key)) for key in value] if isinstance(value, dict) else []
    return listed(inner) if section and inner and all(key in section.model_fields for key in inner) else ""


def _same(place: str, parent: str) -> bool:
    return place == ("" if parent == "the file" else parent)


def _plain(key: str) -> str:
    return key.strip().lower().replace("-", "_").replace(" ", "_")
