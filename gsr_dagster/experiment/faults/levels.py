"""Names that were left out: `benchmarks: {source: …}` has the keys of a benchmark where the names of benchmarks stand."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, get_args, get_origin

from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.experiment.faults.wanted import listed, plain, sections_of
from gsr_dagster.experiment.line_numbers import Place, dotted


@dataclass(frozen=True)
class MissingName:
    """The place that lacks the name, and the keys that stand there in its stead."""

    place: Place
    keys: tuple[str, ...]
    names: tuple[str, ...]

    @property
    def what(self) -> str:
        inner = f"{{{self.keys[0]}: …}}"
        for name in reversed(self.names):
            inner = f"{{{name}: {inner}}}"
        verb = "stands" if len(self.keys) == 1 else "stand"
        return (
            f"{listed(self.keys)} {verb} where a name is wanted: put the name in between, "
            f"as in {dotted(self.place)}: {inner}"
        )

    def covers(self, where: Place) -> bool:
        """Return whether a fault at a place follows from this one."""
        length = len(self.place)
        return where[:length] == self.place and (len(where) == length or str(where[length]) in self.keys)


def missing_names(data: Any, annotation: Any = Experiment, place: Place = ()) -> Iterator[MissingName]:
    """Yield every place where names were left out."""
    annotation, _ = plain(annotation)
    if not isinstance(data, dict):
        return
    if get_origin(annotation) is dict:
        inner, names = annotation, []
        while get_origin(inner) is dict:
            inner, _ = plain(get_args(inner)[1])
            names.append("NAME")
        known = {key for section in sections_of(inner) for key in section.model_fields}
        keys = tuple(str(key) for key in data if str(key) in known)
        if keys and any(not isinstance(data[key], dict) for key in keys if key in data):
            if place[:1] == ("families",):
                names = ["FAMILY", "SCALE"][-len(names) :]
            yield MissingName(place, keys, tuple(names))
        for key, value in data.items():
            if str(key) not in keys:
                yield from missing_names(value, get_args(annotation)[1], (*place, key))
    elif len(sections := sections_of(annotation)) == 1:
        for key, field in sections[0].model_fields.items():
            if key in data:
                yield from missing_names(data[key], field.annotation, (*place, key))
