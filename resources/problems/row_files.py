"""Rows of files that others wrote: JSON lines, a JSON list, CSV with a header, .gz of each, or Parquet.

A JSON list may be all that an object holds, as in {"data": [...]}. The values of CSV may also be separated by
semicolons, tabs or bars.

Nothing in a file is run, and none fills the memory by being small: a line is bounded, and
so is what a compressed file may become. Texts come as they are, but for lone surrogates,
and numbers with the digits that they are written with. In CSV every value is a text.
"""

import csv
import gzip
import json
import re
import zipfile
import zlib
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from gsr_dagster.experiment.errors import UserError
from gsr_dagster.experiment.problems.golds import WrittenNumber
from gsr_dagster.method.rows import Row
from resources.texts import storable

LONGEST_LINE = 64 << 20  # characters
MOST_TIMES_ITS_SIZE = 200  # a compressed file's content; of recorded samples it is 5 to 30
ALWAYS_ALLOWED = 256 << 20
ROWS_AT_ONCE = 1000
CHARACTERS_AT_ONCE = 1 << 20
CHARACTERS_BEFORE_A_LIST = 4096
# As many digits as every float keeps.
DIGITS_OF_A_FLOAT = 15
SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
ESCAPED_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
NEXT_ITEM = re.compile(r"\s*,\s*")


class JsonList(NamedTuple):
    """How a list begins and ends, and how one without items looks."""

    begins: re.Pattern[str]
    ends: re.Pattern[str]
    empty: re.Pattern[str]


LIST = JsonList(re.compile(r"\s*\[\s*"), re.compile(r"\s*\]\s*"), re.compile(r"\s*\[\s*\]\s*"))
KEY = r'\s*\{\s*"(?:[^"\\]|\\.)*"\s*:'
IN_AN_OBJECT = JsonList(
    re.compile(rf"{KEY}\s*\[\s*"), re.compile(r"\s*\]\s*\}\s*"), re.compile(rf"{KEY}\s*\[\s*\]\s*\}}\s*")
)


class RowFileError(UserError, ValueError):
    """A file that cannot be read as rows; the message names it, and the line."""


def read_rows(path: Path) -> Iterator[Row]:
    """Yield a file's rows. Raises RowFileError."""
    try:
        if not path.is_file():
            raise RowFileError(f"there is no file {path}")
        if path.suffix == ".parquet":
            yield from _parquet(path)
        else:
            yield from _text(path)
    except UnicodeDecodeError:
        if zipfile.is_zipfile(path):
            raise RowFileError(
                f"{path} is a ZIP archive or a spreadsheet: save its rows as CSV or JSON lines"
            ) from None
        raise RowFileError(f"{path} is not text in UTF-8: save it as UTF-8") from None
    except (OSError, EOFError, zlib.error) as error:
        raise RowFileError(f"{path} cannot be read: {error}") from None


def _parquet(path: Path) -> Iterator[Row]:
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            total = 0
            for batch in file.iter_batches(ROWS_AT_ONCE):
                total += batch.nbytes
                _bounded(path, total)
                yield from _with_short_decimals(batch).to_pylist()
    except (pyarrow.ArrowException, ValueError, OverflowError) as error:
        raise RowFileError(f"{path} is not Parquet: {error}") from None


def _with_short_decimals(batch: Any) -> Any:
    """Return rows in which a float32 0.1 is 0.1 and not the 0.10000000149011612 that it becomes in more digits."""
    import pyarrow

    for number, field in enumerate(batch.schema):
        if pyarrow.types.is_float32(field.type):
            column = batch.column(number).cast(pyarrow.string()).cast(pyarrow.float64())
            batch = batch.set_column(number, field.name, column)
    return batch


def _text(path: Path) -> Iterator[Row]:
    kind = path.with_suffix("").suffix if path.suffix == ".gz" else path.suffix
    if kind == ".parquet":
        raise RowFileError(f"{path} is Parquet in .gz: unpack it first")
    packed = path.suffix == ".gz"
    # A byte order mark, as some programs for Windows write it, is no part of the first line.
    with (
        gzip.open(path, "rt", encoding="utf-8-sig", newline="")
        if packed
        else path.open(encoding="utf-8-sig", newline="") as file
    ):
        if kind in (".csv", ".tsv"):
            yield from _csv(path, _lines(path, file), "\t" if kind == ".tsv" else ",")
        else:
            yield from _json(path, file)


def _lines(path: Path, file: TextIO) -> Iterator[str]:
    """Yield a text's lines, with their ends."""
    number = total = 0
    while line := file.readline(LONGEST_LINE + 1):
        number, total = number + 1, total + len(line)
        if len(line) > LONGEST_LINE:
            raise RowFileError(f"{path}, line {number}: more than {LONGEST_LINE:,} characters")
        if path.suffix == ".gz":
            _bounded(path, total)
        yield line


def _csv(path: Path, lines: Iterator[str], usual: str) -> Iterator[Row]:
    csv.field_size_limit(LONGEST_LINE)
    first = next(lines, "")
    reader = csv.reader(chain([first], lines), strict=True, delimiter=_separator(path, first, usual))
    try:
        names = next(reader, [])
        if repeated := {name for name in names if names.count(name) > 1}:
            raise RowFileError(f"{path}: its header has {', '.join(sorted(map(repr, repeated)))} twice")
        for values in reader:
            if not values:  # an empty line
                continue
            if len(values) != len(names):
                raise RowFileError(
                    f"{path}, line {reader.line_num}: {len(values)} values, and the header has {len(names)} names"
                )
            yield dict(zip(names, values, strict=True))
    except csv.Error as error:
        raise RowFileError(f"{path} is not CSV: line {reader.line_num}: {error}") from None


def _separator(path: Path, header: str, usual: str) -> str:
    """Return what separates the values: the usual, unless the header has one name by it and several by one other sign."""
    try:
        names = {sign: len(next(csv.reader([header], strict=True, delimiter=sign), [])) for sign in SEPARATORS}
    except csv.Error:  # a name in quotes that goes on in the next line, or no CSV
        return usual
    others = [sign for sign, count in names.items() if count > 1]
    if names[usual] > 1 or not others:
        return usual
    if len(others) > 1:
        raise RowFileError(
            f"{path}: the values could be separated by {' or by '.join(SEPARATORS[sign] for sign in others)}: save it as "
            "CSV with commas"
        )
    return others[0]


def _json(path: Path, file: TextIO) -> Iterator[Row]:
    begin = file.read(CHARACTERS_BEFORE_A_LIST)
    file.seek(0)
    if begin.lstrip().startswith("["):
        yield from _items(path, file, LIST)
        return
    rows = _json_lines(path, file)
    try:
        first = next(rows, None)
    except RowFileError:
        if IN_AN_OBJECT.begins.match(begin) is None:
            raise
        file.seek(0)
        yield from _items(path, file, IN_AN_OBJECT)
        return
    second = next(rows, None)
    if first and second is None and (items := _held_list(first)) is not None:
        yield from items
    else:
        yield from (row for row in (first, second) if row is not None)
        yield from rows


def _json_lines(path: Path, file: TextIO) -> Iterator[Row]:
    for number, line in enumerate(_lines(path, file), start=1):
        if line.strip():
            try:
                value = json.loads(line, parse_float=_number)
            except (ValueError, RecursionError) as error:
                raise RowFileError(f"{path} is not JSON lines: line {number}: {error}") from None
            yield _object(path, f"line {number}", value, line)


def _held_list(row: Row) -> list[Row] | None:
    """Return the list of objects that is all a file's one object holds, else None."""
    (value,) = row.values() if len(row) == 1 else (None,)
    return value if isinstance(value, list) and all(isinstance(item, dict) for item in value) else None


def _number(written: str) -> float:
    """Return a number of JSON, with its digits where they are more than a float keeps."""
    value = float(written)
    return value if len(written) <= DIGITS_OF_A_FLOAT or repr(value) == written else WrittenNumber(value, written)


def _items(path: Path, file: TextIO, form: JsonList) -> Iterator[Row]:
    """Yield the objects of a JSON list, on however many lines it stands; few of them are in memory at a time."""
    decoder = json.JSONDecoder(parse_float=_number)
    text, wanted, total, number = "", 0, 0, 0
    between = form.begins
    chunk = " "
    while chunk:
        chunk = file.read(CHARACTERS_AT_ONCE)
        text, total = text + chunk, total + len(chunk)
        if path.suffix == ".gz":
            _bounded(path, total)
        if chunk and len(text) < wanted:
            continue
        place = 0
        while (item := between.match(text, place)) and text[item.end() : item.end() + 1] not in ("", "]"):
            try:
                value, end = decoder.raw_decode(text, item.end())
            except (ValueError, RecursionError):
                break
            number, between = number + 1, NEXT_ITEM
            yield _object(path, f"item {number}", value, text[item.end() : end])
            place = end
        text = text[place:]
        wanted = 2 * len(text)  # of an item that is not whole yet
        if len(text) > LONGEST_LINE:
            raise RowFileError(f"{path}, item {number + 1}: more than {LONGEST_LINE:,} characters, or no JSON")
    if not (form.ends if number else form.empty).fullmatch(text):
        raise RowFileError(f"{path} is not a JSON list: item {number + 1}: {text.strip()[:40]!r}")


def _object(path: Path, place: str, value: Any, text: str) -> Row:
    if not isinstance(value, dict):
        raise RowFileError(f"{path}, {place}: an object is wanted, not {text[:40]!r}")
    return _storable(value) if ESCAPED_SURROGATE.search(text) else value


def _bounded(path: Path, size: int) -> None:
    """Raise RowFileError where a compressed file becomes more than any honest one does."""
    if size > max(ALWAYS_ALLOWED, MOST_TIMES_ITS_SIZE * path.stat().st_size):
        raise RowFileError(
            f"{path} becomes more than {MOST_TIMES_ITS_SIZE} times its size when it is unpacked: refused"
        )


def _storable(value: Any) -> Any:
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, list):
        return [_storable(part) for part in value]
    return {storable(name): _storable(part) for name, part in value.items()} if isinstance(value, dict) else value
