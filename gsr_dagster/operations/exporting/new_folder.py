"""A folder that is written whole or not at all, and never over what is there."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gsr_dagster.experiment.errors import UserError
from resources.store.files import scratch_folder


class ExportError(UserError, ValueError):
    """What cannot be exported as it was asked for; the message says why, and what would be right."""


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Yield a folder beside ``folder``, which takes its place once the block has written it; one that fails leaves nothing.

    Raises ExportError where ``folder`` holds something, or is none, before the block or after it.
    """
    refuse_occupied(folder)
    with scratch_folder(folder.parent) as scratch:
        made = scratch / "made"
        made.mkdir()
        yield made
        try:
            made.rename(folder)
        except OSError:
            refuse_occupied(folder)  # what another process wrote in the meantime stays
            raise


def refuse_occupied(folder: Path) -> None:
    """Raise ExportError where a folder holds something, or is none."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ExportError(f"{folder} is there and not empty, and nothing is written over: name another folder")
