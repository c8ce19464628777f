"""What may stand at a place of the experiment file, read from the models that check it, in words and with an example."""

import json
import operator
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from gsr_dagster.experiment.aggregations import aggregation_kinds
from gsr_dagster.experiment.aggregations.base import Aggregation
from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.experiment.faults.examples import EXAMPLES
from gsr_dagster.experiment.line_numbers import Place
from gsr_dagster.experiment.settings import MOST, Section

KEY_STEP = "[key]"  # pydantic's last step to the name of something
BOUNDS = {"ge": "from", "gt": "above", "le": "at most", "lt": "below"}
COMPARED = {"ge": operator.ge, "gt": operator.gt, "le": operator.le, "lt": operator.lt}


@dataclass(frozen=True)
class Spot:
    """A place of the file and what may stand there.

    ``owner`` is the section that holds it, None inside of lists and of what has free names.
    ``is_name`` where it is about the name of something, and ``branch`` is pydantic's word
    for one of several forms that a value may have.
    """

    place: Place
    annotation: Any
    metadata: tuple[Any, ...] = ()
    owner: type[Section] | None = None
    is_name: bool = False
    branch: str | None = None

    @property
    def key(self) -> str:
        return str(self.place[-1]) if self.place else ""

    @property
    def sections(self) -> tuple[type[Section], ...]:
        """The sections that may stand there, one for each kind; none where it is no section."""
        return sections_of(self.annotation)

    @property
    def wanted(self) -> str:
        return in_words(self.annotation, self.metadata)

    def takes(self, number: float) -> bool:
        """Return whether a number is within the bounds of what is wanted."""
        _, metadata = plain(self.annotation, self.metadata)
        return all(
            compare(number, getattr(one, name))
            for name, compare in COMPARED.items()
            for one in metadata
            if hasattr(one, name)
        )

    @property
    def example(self) -> str:
        return example_of(self.owner, self.key) if self.owner else ""


def spot_of(where: Sequence[str | int]) -> Spot:
    """Return the spot of pydantic's location, which has steps that the file has not: the kind of a section."""
    spot = Spot((), Experiment)
    for step in where:
        annotation, metadata = plain(spot.annotation, spot.metadata)
        members = sections_of(annotation)
        if step == KEY_STEP:
            spot = Spot(spot.place, str, is_name=True)
        elif len(members) > 1:
            kinds = {kind_of(member): member for member in members}
            spot = Spot(spot.place, kinds.get(str(step), annotation), (), spot.owner)
        elif len(members) == 1:
            field = members[0].model_fields.get(str(step))
            inner = (field.annotation, tuple(field.metadata)) if field else (Any, ())
            spot = Spot((*spot.place, step), *inner, owner=members[0])
        elif get_origin(annotation) is dict:
            spot = Spot((*spot.place, step), get_args(annotation)[1])
        elif get_origin(annotation) is tuple:
            spot = Spot((*spot.place, step), get_args(annotation)[0])
        elif is_union(annotation) and step in FORMS:
            spot = Spot(spot.place, FORMS[step](annotation), metadata, spot.owner)
        elif is_union(annotation):
            spot = Spot(spot.place, _branch(annotation, str(step)), metadata, spot.owner, branch=str(step))
        else:
            spot = Spot((*spot.place, step), Any)
    return spot


def spots_of_truth_values(data: Any, spot: Spot | None = None) -> Iterator[Spot]:
    """Yield every spot of a number where the file has yes or no."""
    spot = spot or Spot((), Experiment)
    annotation, _ = plain(spot.annotation, spot.metadata)
    if isinstance(data, bool):
        if annotation in (int, float):
            yield spot
    elif isinstance(data, dict):
        members = sections_of(annotation)
        named = (one for one in members if kind_of(one) == data.get(tag_of(one)))
        section = next(named, members[0] if members else None)
        for key, value in data.items():
            if section and str(key) in section.model_fields:
                field = section.model_fields[str(key)]
                inner = Spot((*spot.place, str(key)), field.annotation, tuple(field.metadata), section)
                yield from spots_of_truth_values(value, inner)
            elif get_origin(annotation) is dict:
                yield from spots_of_truth_values(value, Spot((*spot.place, key), get_args(annotation)[1]))
    elif isinstance(data, list) and get_origin(annotation) is tuple:
        for index, value in enumerate(data):
            yield from spots_of_truth_values(value, Spot((*spot.place, index), get_args(annotation)[0]))


def plain(annotation: Any, metadata: Sequence[Any] = ()) -> tuple[Any, tuple[Any, ...]]:
    """Return a type without what is said about it, which is returned beside it, and without "or null"."""
    found = tuple(metadata)
    while True:
        if get_origin(annotation) is Annotated:
            annotation, *more = get_args(annotation)
            for one in more:
                found += tuple(one.metadata) if isinstance(one, FieldInfo) else (one,)
        elif is_union(annotation):
            members = [member for member in get_args(annotation) if member is not NoneType]
            if len(members) > 1:
                return annotation, found
            annotation = members[0]
        else:
            return annotation, found


def is_union(annotation: Any) -> bool:
    return get_origin(annotation) in (Union, UnionType)


def sections_of(annotation: Any) -> tuple[type[Section], ...]:
    """Return the sections that a type stands for, one for each kind; none where it is no section."""
    annotation, _ = plain(annotation)
    if annotation is Aggregation:
        return tuple(aggregation_kinds())
    members = [plain(member)[0] for member in (get_args(annotation) if is_union(annotation) else [annotation])]
    members = [member for member in members if member is not NoneType]
    if all(isinstance(member, type) and issubclass(member, Section) for member in members):
        return tuple(members)
    return ()


def tag_of(section: type[Section]) -> str:
    """Return the key by whose value a section is told from others that may stand in its place."""
    return "method" if "method" in section.model_fields else "kind"


def kind_of(section: type[Section]) -> str | None:
    """Return the ``kind``, or the ``method`` of a training, that names a section; None where it has none."""
    field = section.model_fields.get(tag_of(section))
    return get_args(field.annotation)[0] if field and get_origin(field.annotation) is Literal else None


def in_words(annotation: Any, metadata: Sequence[Any] = ()) -> str:
    """Return what may stand there."""
    annotation, metadata = plain(annotation, metadata)
    if kinds := sections_of(annotation):
        names = [kind for kind in map(kind_of, kinds) if kind]
        return f"a section with the {tag_of(kinds[0])} {listed(names, 'or')}" if len(kinds) > 1 else "a section"
    if get_origin(annotation) is Literal:
        return listed([str(value) for value in get_args(annotation)], "or")
    if get_origin(annotation) is tuple:
        return f"a list{_if_not_empty(metadata)}"
    if get_origin(annotation) is dict:
        return "a section with a name for each entry" if _is_named(annotation) else "a section"
    if is_union(annotation):
        return listed([in_words(member) for member in get_args(annotation) if member is not NoneType], "or")
    if annotation is bool:
        return "true or false"
    if annotation in (int, float):
        return f"a {'whole ' if annotation is int else ''}number{_bounds(metadata)}"
    return "a path" if annotation is Path else f"a text{_if_not_empty(metadata)}"


def example_of(section: type[Section], key: str) -> str:
    """Return a value of a key that would be right, as YAML has it; "" where there is none to show."""
    for parent in section.__mro__:
        if (parent.__name__, key) in EXAMPLES:
            return EXAMPLES[parent.__name__, key]
    field = section.model_fields.get(key)
    if field is None:
        return ""
    annotation, _ = plain(field.annotation)
    if get_origin(annotation) is Literal:
        return str(get_args(annotation)[0])
    if annotation is bool and field.default is None:
        return "true"
    return json.dumps(field.default) if isinstance(field.default, int | float) else ""


@cache
def homes() -> dict[str, list[str]]:
    """Return every key of the file with the places that have it, as in `students.NAME.training`."""
    found: dict[str, list[str]] = {}
    for place, section in every_section():
        for key in section.model_fields:
            if place not in (known := found.setdefault(key, [])):
                known.append(place)
    return found


def every_section(annotation: Any = Experiment, place: str = "") -> Iterator[tuple[str, type[Section]]]:
    """Yield every section that a file can have, with its place: NAME for what has a name of its own."""
    annotation, _ = plain(annotation)
    if sections := sections_of(annotation):
        for section in sections:
            yield place, section
            for key, field in section.model_fields.items():
                yield from every_section(field.annotation, f"{place}.{key}".lstrip("."))
    elif get_origin(annotation) is dict:
        name = {"families": "FAMILY", "families.FAMILY": "SCALE"}.get(place, "NAME")
        yield from every_section(get_args(annotation)[1], f"{place}.{name}")
    elif get_origin(annotation) is tuple:
        yield from every_section(get_args(annotation)[0], place)
    elif is_union(annotation):
        for member in get_args(annotation):
            yield from every_section(member, place)


def listed(names: Sequence[str], word: str = "and") -> str:
    """Return names as a sentence has them, `a, b and c`."""
    return f"{', '.join(names[:-1])} {word} {names[-1]}" if len(names) > 1 else "".join(names)


def _if_not_empty(metadata: Sequence[Any]) -> str:
    return " that is not empty" if any(getattr(one, "min_length", None) for one in metadata) else ""


def _bounds(metadata: Sequence[Any]) -> str:
    found = {name: getattr(one, name) for name in BOUNDS for one in metadata if hasattr(one, name)}
    if found.get("le") == MOST:
        del found["le"]
    if {"ge", "le"} <= set(found):
        return f" from {found['ge']:,} to {found['le']:,}"
    return " " * bool(found) + " and ".join(f"{BOUNDS[name]} {limit:,.10g}" for name, limit in found.items())


def _is_named(annotation: Any) -> bool:
    """Return whether this is a section in which each entry has a name of its own choice, and is a section in turn."""
    inner, _ = plain(get_args(annotation)[1])
    return bool(sections_of(inner)) or get_origin(inner) is dict


def _section_in(annotation: Any) -> Any:
    """Return the section among the members of a union."""
    return next(one for member in get_args(annotation) for one in sections_of(member))


# Where the form of a value says which member of a union is meant: what is wrong is told of that one, or of both forms.
FORMS: dict[str | int, Callable[[Any], Any]] = {"section": _section_in, "text": lambda annotation: annotation}


def _branch(annotation: Any, label: str) -> Any:
    """Return the member of a union that pydantic's label names: the list, or the other one."""
    members = [member for member in get_args(annotation) if member is not NoneType]
    is_list = "tuple[" in label
    return next((m for m in members if (get_origin(plain(m)[0]) is tuple) is is_list), members[0])
