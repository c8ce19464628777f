"""Rows of files that others wrote: JSON lines, .gz of it, a JSON list, or Parquet.

Nothing in a file is run, and none fills the memory by being small: a line is bounded, and
so is what a compressed file may become. Texts come as they are, but for lone surrogates.
"""

import gzip
import json
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gsr_dagster.experiment.errors import UserError
from gsr_dagster.method.rows import Row
from resources.texts import storable

LONGEST_LINE = 64 << 20  # characters
MOST_TIMES_ITS_SIZE = 200  # a compressed file's content; of recorded samples it is 5 to 30
ALWAYS_ALLOWED = 256 << 20
ROWS_AT_ONCE = 1000
ESCAPED_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


class RowFileError(UserError, ValueError):
    """A file that cannot be read as rows; the message names it, and the line."""


def read_rows(path: Path) -> Iterator[Row]:
    """Yield a file's rows. Raises RowFileError."""
    try:
        if not path.is_file():
            raise RowFileError(f"there is no file {path}")
        yield from _parquet(path) if path.suffix == ".parquet" else _json(path)
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
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
                yield from batch.to_pylist()
    except (pyarrow.ArrowException, ValueError, OverflowError) as error:
        raise RowFileError(f"{path} is not Parquet: {error}") from None


def _json(path: Path) -> Iterator[Row]:
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
        number = total = 0
        while line := file.readline(LONGEST_LINE + 1):
            if path.suffix == ".json" and not number and line.lstrip().startswith("["):  # a list, over all lines
                line += file.read(LONGEST_LINE)
            number, total = number + 1, total + len(line)
            if len(line) > LONGEST_LINE:
                raise RowFileError(f"{path}, line {number}: more than {LONGEST_LINE:,} characters")
            if path.suffix == ".gz":
                _bounded(path, total)
            if line.strip():
                yield from _objects(path, number, line)


def _objects(path: Path, number: int, line: str) -> Iterator[Row]:
    try:
        value = json.loads(line)
        if ESCAPED_SURROGATE.search(line):
            value = _storable(value)
    except (ValueError, RecursionError) as error:
        raise RowFileError(f"{path} is not JSON lines: line {number}: {error}") from None
    for row in value if isinstance(value, list) and path.suffix == ".json" else [value]:
        if not isinstance(row, dict):
            raise RowFileError(f"{path}, line {number}: an object is wanted, not {line[:40]!r}")
        yield row


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
