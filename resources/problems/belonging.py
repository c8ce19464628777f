"""Which benchmark and which model samples belong to, where nobody named the column that says so.

A column of a usual name that every sample has is taken, and said. Two that would make other parts of the samples
are not: the message names both.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from gsr_dagster.method.rows import Row
from resources.problems.forms.fields import plain
from resources.problems.recorded_samples import ImportFileError, Recorded
from resources.problems.repeats import SampleFile

What = Literal["benchmark", "model"]
COLUMNS: Mapping[What, tuple[str, ...]] = {
    "benchmark": ("benchmark", "dataset", "data_source", "task"),
    "model": ("model", "model_name", "model_id"),
}
OPTIONS: Mapping[What, str] = {"benchmark": "--group-by", "model": "--model-column"}
MOST_LISTED = 5


@dataclass(frozen=True)
class NamingColumn:
    """A column that names the benchmarks or the models of all samples, and the names in it."""

    column: str
    names: tuple[str, ...]

    def __str__(self) -> str:
        more = f" and {len(self.names) - MOST_LISTED} more" if len(self.names) > MOST_LISTED else ""
        return f"{self.column} ({', '.join(name[:60] for name in self.names[:MOST_LISTED])}{more})"


def names_in(row: Row) -> tuple[tuple[str, str], ...]:
    """Return what a row's columns hold that may name its benchmark and its model."""
    found = []
    for column in (one for columns in COLUMNS.values() for one in columns):
        try:
            found.append((column, plain(row[column], column)))
        except (KeyError, ValueError):
            continue
    return tuple(found)


def naming_column(files: Sequence[SampleFile], what: What) -> NamingColumn | None:
    """Return the column that names the benchmark or the model of every sample, None where there is none.

    One with several names comes first. Raises ImportFileError where two of those differ in which samples belong together.
    """
    named = [dict(sample.names) for file in files for sample in file.samples]
    there = [
        NamingColumn(column, tuple(dict.fromkeys(names[column] for names in named)))
        for column in COLUMNS[what]
        if named and all(column in names for names in named)
    ]
    several = [one for one in there if len(one.names) > 1]
    for other in several[1:]:
        first = several[0]
        pairs = {(names[first.column], names[other.column]) for names in named}
        if not len(pairs) == len(first.names) == len(other.names):
            raise ImportFileError(
                f"the columns {first} and {other} could each name the {what}: say which does, as in "
                f"{OPTIONS[what]} {first.column}, or {OPTIONS[what]} '' for one {what}"
            )
    return next(iter([*several, *there]), None)


def named_by(files: Sequence[SampleFile], what: What, column: NamingColumn) -> list[SampleFile]:
    """Return the files with the benchmark or the model of every sample as a column of it names it."""

    def named(sample: Recorded) -> Recorded:
        name = dict(sample.names)[column.column]
        return replace(sample, benchmark=name) if what == "benchmark" else replace(sample, model=name)

    return [SampleFile(file.path, list(map(named, file.samples))) for file in files]
