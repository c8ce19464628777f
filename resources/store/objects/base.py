"""Named objects, wherever artifacts lie. An object is written whole or not at all.

Names are relative, with "/", and lead nowhere else.
"""

from pathlib import Path
from typing import Protocol

from gsr_dagster.experiment.errors import UserError


class ConflictError(RuntimeError):
    """Another writer replaced an object since it was read."""


class UnfitStoreError(UserError, RuntimeError):
    """An object store that artifacts cannot lie in; the message says what it lacks."""


class Objects(Protocol):
    """Named objects."""

    def read(self, name: str) -> bytes | None:
        """Return an object's content, None where there is none."""
        ...

    def write(self, name: str, content: bytes) -> None:
        """Write an object whose name says its content: one that is there stays."""
        ...

    def replace(self, name: str, content: bytes, expected: bytes | None) -> None:
        """Write an object in place of ``expected``, None for none. Raises ConflictError where another stands there."""
        ...

    def upload(self, name: str, path: Path) -> None:
        """Write a local file as an object, in place of whatever stands there."""
        ...

    def names(self, folder: str) -> list[str]:
        """Return the names of the objects in a folder, without the folder, sorted."""
        ...

    def tree(self) -> list[str]:
        """Return the names of all objects, sorted."""
        ...

    def listed(self) -> dict[str, tuple[int, float]]:
        """Return the bytes of every object, and when it was written, in seconds since 1970."""
        ...

    def remove(self, name: str) -> None:
        """Remove an object, if it is there."""
        ...

    def local(self, name: str, fresh: bool = False) -> Path | None:
        """Return a local file with an object's content, None where there is none; ``fresh`` mistrusts a cached one."""
        ...

    def address(self, name: str) -> str:
        """Return where an object lies, for people."""
        ...
