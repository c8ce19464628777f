"""Objects in a local folder."""

import shutil
from contextlib import suppress
from pathlib import Path, PurePosixPath

from resources.store.files import (
    HALF_WRITTEN,
    explain_full_disk,
    locked,
    remove_half_written,
    write_atomically,
    written_whole,
)
from resources.store.objects.base import ConflictError


class LocalObjects:
    """Objects in a local folder."""

    def __init__(self, root: Path):
        self.root = root

    def read(self, name: str) -> bytes | None:
        try:
            return self._path(name).read_bytes()
        except FileNotFoundError:
            return None

    def write(self, name: str, content: bytes) -> None:
        write_atomically(self._path(name), content)

    def replace(self, name: str, content: bytes, expected: bytes | None) -> None:
        path = self._path(name)
        with explain_full_disk(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        with locked(path.with_name(f".{path.name}.lock")):
            if self.read(name) != expected:
                raise ConflictError(name)
            write_atomically(path, content)
        remove_half_written(path.parent.rglob(f"{HALF_WRITTEN}*"))

    def upload(self, name: str, path: Path) -> None:
        with path.open("rb") as source, written_whole(self._path(name)) as file:
            shutil.copyfileobj(source, file)

    def names(self, folder: str) -> list[str]:
        place = self._path(folder)
        if not place.is_dir():
            return []
        return sorted(p.name for p in place.iterdir() if p.is_file() and not p.name.startswith("."))

    def tree(self) -> list[str]:
        files = (path for path in self.root.rglob("*") if path.is_file() and not path.name.startswith("."))
        return sorted(path.relative_to(self.root).as_posix() for path in files)

    def listed(self) -> dict[str, tuple[int, float]]:
        found = {}
        for name in self.tree():
            with suppress(FileNotFoundError):
                stat = self._path(name).stat()
                found[name] = (stat.st_size, stat.st_mtime)
        return found

    def remove(self, name: str) -> None:
        self._path(name).unlink(missing_ok=True)

    def local(self, name: str, fresh: bool = False) -> Path | None:
        path = self._path(name)
        return path if path.is_file() else None

    def address(self, name: str) -> str:
        return str(self.root / name)

    def _path(self, name: str) -> Path:
        if ".." in PurePosixPath(name).parts or name.startswith("/"):
            raise ValueError(f"{name!r} leads out of {self.root}")
        return self.root / name
