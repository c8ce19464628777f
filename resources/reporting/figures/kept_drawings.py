"""Drawings that outlive their process, in the cache folder: to draw them takes most of a report's time.

They decide nothing: one that is missing or damaged is drawn again. A drawing is found by what it shows and by
the code that draws it, so that another code, or another release of Matplotlib, draws anew.
"""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from functools import cache, wraps
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gsr_dagster.method
from resources.reporting.figures.drawing import Drawing
from resources.reporting.figures.drawing_processes import begin
from resources.store.files import cache_folder, write_atomically
from resources.store.hashes import sha256

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.figure import Figure

MOST_KEPT = 1000
# The hash of a drawing stands before it.
HASH_LENGTH = 64

log = logging.getLogger(__name__)


def kept(plot: Callable[..., Figure]) -> Callable[..., Drawing]:
    """Let a plot return its drawing, which is drawn once for the same arguments: their ``repr`` tells them apart."""

    @wraps(plot)
    def drawing(*shown: Any) -> Drawing:
        name = sha256(f"{plot.__module__}.{plot.__name__}\n{_code()}\n{shown!r}".encode())
        path = cache_folder() / "figures" / name[:32]
        if (png := _read(path)) is not None:
            return Drawing(lambda: png)
        drawn = begin(plot, shown)

        def drawn_and_kept() -> bytes:
            _keep(path, png := drawn())
            return png

        return Drawing(drawn_and_kept)

    return drawing


@cache
def _code() -> str:
    """Return what tells the code that draws from every other one."""
    folders = (Path(__file__).parents[1], Path(gsr_dagster.method.__path__[0]))
    sources = [path.read_bytes() for folder in folders for path in sorted(folder.rglob("*.py"))]
    return sha256(b"\n".join([version("matplotlib").encode(), *sources]))


def _read(path: Path) -> bytes | None:
    with suppress(OSError):
        content = path.read_bytes()
        digest, png = content[:HASH_LENGTH], content[HASH_LENGTH:]
        if digest == sha256(png).encode():
            with suppress(OSError):  # gone meanwhile, or a cache that is only read
                os.utime(path)
            return png
        log.warning("%s: a kept figure is damaged. It is drawn again.", path)
    return None


def _keep(path: Path, png: bytes) -> None:
    try:
        write_atomically(path, sha256(png).encode() + png)
    except OSError as error:
        log.warning("%s: %s. The figure is drawn again for the next report.", path, error)
        return
    with suppress(OSError):  # what another process writes or removes meanwhile
        by_use = sorted(path.parent.iterdir(), key=lambda drawing: drawing.stat().st_mtime)
        for unused in by_use[:-MOST_KEPT]:
            unused.unlink(missing_ok=True)
