"""Rows of files that others wrote: JSON lines, a JSON list, CSV with a header, .gz of each, or Parquet.

Nothing in a file is run, and none fills the memory by being small: a line is bounded, and
so is what a compressed file may become. Texts come as they are, but for lone surrogates.
In CSV every value is a text.
"""

import csv
import gzip
import json
import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from gsr_dagster.experiment.errors import UserError
from gsr_dagster.method.rows import Row
from resources.texts import storable

LONGEST_LINE = 64 << 20  # characters
MOST_TIMES_ITS_SIZE = 200  # a compressed file's content; of recorded samples it is 5 to 30
ALWAYS_ALLOWED = 256 << 20
ROWS_AT_ONCE = 1000
CHARACTERS_AT_ONCE = 1 << 20
CHARACTERS_BEFORE_A_LIST = 4096
ESCAPED_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
LIST_BEGINS = re.compile(r"\s*\[\s*")
NEXT_ITEM = re.compile(r"\s*,\s*")
LIST_ENDS = re.compile(r"\s*\]\s*")
EMPTY_LIST = re.compile(r"\s*\[\s*\]\s*")


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
        if kind == ".csv":
            yield from _csv(path, _lines(path, file))
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


def _csv(path: Path, lines: Iterator[str]) -> Iterator[Row]:
    csv.field_size_limit(LONGEST_LINE)
    reader = csv.reader(lines, strict=True)
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


def _json(path: Path, file: TextIO) -> Iterator[Row]:
    is_list = file.read(CHARACTERS_BEFORE_A_LIST).lstrip().startswith("[")
    file.seek(0)
    if is_list:
        yield from _items(path, file)
        return
    for number, line in enumerate(_lines(path, file), start=1):
        if line.strip():
            try:
                value = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise RowFileError(f"{path} is not JSON lines: line {number}: {error}") from None
            yield _object(path, f"line {number}", value, line)


def _items(path: Path, file: TextIO) -> Iterator[Row]:
    """Yield the objects of a JSON list, on however many lines it stands; few of them are in memory at a time."""
    decoder = json.JSONDecoder()
    text, wanted, total, number = "", 0, 0, 0
    between = LIST_BEGINS
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
    if not (LIST_ENDS if number else EMPTY_LIST).fullmatch(text):
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
