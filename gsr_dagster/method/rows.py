"""A row of a table, by column, wherever rows are read, made or stored; and a few of many at a time."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, TypeVar

Row = dict[str, Any]
Item = TypeVar("Item")


def batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Yield the items, so many at a time, with no more of them in memory.

    >>> list(batches("abcde", 2))
    [['a', 'b'], ['c', 'd'], ['e']]
    """
    rest = iter(items)
    while batch := list(islice(rest, size)):  # itertools.batched is of Python 3.12
        yield batch
