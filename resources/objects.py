"""Where artifacts lie: named objects in a local folder or under an S3 prefix.

An object is written whole or not at all. Names are relative, with "/", and lead nowhere else.
"""

import errno
import fcntl
import hashlib
import os
import re
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Protocol

# What the system says where a disk or a quota is full.
NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
HALF_WRITTEN = ".writing-"
# The hashes of the files beside it.
HASHES = "SHA256SUMS"
# A part of a name: nothing that leads out of its folder, and nothing that DuckDB takes for a pattern.
NAME = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}"
HASH_LINE = re.compile(rf"([0-9a-f]{{64}})  ({NAME})")
# What S3 says where another writer was first, or writes at this moment.
CONFLICTS = ("PreconditionFailed", "ConditionalRequestConflict")
SECONDS_OF_A_DAY = 24 * 3600


class ConflictError(RuntimeError):
    """Another writer replaced an object since it was read."""


def cache_folder() -> Path:
    """Return the folder for what can be made or fetched again: $GSR_CACHE, or gsr in the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("GSR_CACHE") or Path(base) / "gsr")


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

    def remove(self, name: str) -> None:
        """Remove an object, if it is there."""
        ...

    def local(self, name: str, fresh: bool = False) -> Path | None:
        """Return a local file with an object's content, None where there is none; ``fresh`` mistrusts a cached one."""
        ...

    def address(self, name: str) -> str:
        """Return where an object lies, for people."""
        ...


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
        with no_room_named(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        with _locked(path.with_name(f".{path.name}.lock")):
            if self.read(name) != expected:
                raise ConflictError(name)
            write_atomically(path, content)
        _remove_half_written(path.parent.rglob(f"{HALF_WRITTEN}*"))

    def upload(self, name: str, path: Path) -> None:
        with path.open("rb") as source, _written_whole(self._path(name)) as file:
            shutil.copyfileobj(source, file)

    def names(self, folder: str) -> list[str]:
        place = self._path(folder)
        if not place.is_dir():
            return []
        return sorted(p.name for p in place.iterdir() if p.is_file() and not p.name.startswith("."))

    def tree(self) -> list[str]:
        files = (path for path in self.root.rglob("*") if path.is_file() and not path.name.startswith("."))
        return sorted(path.relative_to(self.root).as_posix() for path in files)

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


class S3Objects:
    """Objects under s3://BUCKET/PREFIX. Local copies stay in a cache, by their ETag."""

    def __init__(self, root: str, client: Any, cache: Path):
        self.bucket, _, prefix = root.removeprefix("s3://").partition("/")
        self.prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self.client = client
        self.cache = cache

    def read(self, name: str) -> bytes | None:
        return self._get(name)[0]

    def write(self, name: str, content: bytes) -> None:
        try:
            self.client.put_object(**self._at(name), Body=content, IfNoneMatch="*")
        except self.client.exceptions.ClientError as error:
            if error.response["Error"]["Code"] not in CONFLICTS:
                raise
            if self.read(name) != content:  # what stands there is damaged, or not written yet
                self.client.put_object(**self._at(name), Body=content)

    def replace(self, name: str, content: bytes, expected: bytes | None) -> None:
        before, tag = self._get(name)
        condition = {"IfMatch": tag} if tag else {"IfNoneMatch": "*"}
        if before != expected:
            raise ConflictError(name)
        try:
            self.client.put_object(**self._at(name), Body=content, **condition)
        except self.client.exceptions.ClientError as error:
            if error.response["Error"]["Code"] not in (*CONFLICTS, "NoSuchKey"):
                raise
            raise ConflictError(name) from None

    def upload(self, name: str, path: Path) -> None:
        at = self._at(name)
        self.client.upload_file(str(path), at["Bucket"], at["Key"])

    def names(self, folder: str) -> list[str]:
        return self._listed(f"{self.prefix}{folder}/", "/")

    def tree(self) -> list[str]:
        return self._listed(self.prefix, "")

    def _listed(self, prefix: str, delimiter: str) -> list[str]:
        lister = self.client.get_paginator("list_objects_v2")
        pages = lister.paginate(Bucket=self.bucket, Prefix=prefix, Delimiter=delimiter)
        return sorted(entry["Key"].removeprefix(prefix) for page in pages for entry in page.get("Contents", []))

    def remove(self, name: str) -> None:
        self.client.delete_object(**self._at(name))

    def local(self, name: str, fresh: bool = False) -> Path | None:
        tag = self._tag(name)
        if tag is None:
            return None
        path = self.cache / self.bucket / tag.strip('"') / Path(name).name
        if fresh or not path.exists():
            at = self._at(name)
            with scratch_folder(path.parent) as scratch:
                self.client.download_file(at["Bucket"], at["Key"], str(scratch / "object"))
                os.replace(scratch / "object", path)
        return path

    def address(self, name: str) -> str:
        return f"s3://{self.bucket}/{self.prefix}{name}"

    def _get(self, name: str) -> tuple[bytes | None, str | None]:
        """Return an object's content and its ETag, from the bucket and not from the cache."""
        try:
            found = self.client.get_object(**self._at(name))
        except self.client.exceptions.NoSuchKey:
            return None, None
        return found["Body"].read(), found["ETag"]

    def _tag(self, name: str) -> str | None:
        try:
            return self.client.head_object(**self._at(name))["ETag"]
        except self.client.exceptions.ClientError as error:
            if error.response["Error"]["Code"] not in ("404", "NoSuchKey"):
                raise
            return None

    def _at(self, name: str) -> dict[str, str]:
        return {"Bucket": self.bucket, "Key": self.prefix + name}


def sha256_of_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256sums(hashes: Mapping[str, str]) -> str:
    """Return hashes by file name as `sha256sum --check` reads them."""
    return "".join(f"{digest}  {name}\n" for name, digest in hashes.items())


def read_sha256sums(content: bytes) -> dict[str, str]:
    """Return the hashes by file name. Raises ValueError where a line is anything else, or cut off."""
    lines = content.decode().split("\n")
    found = [HASH_LINE.fullmatch(line) for line in lines[:-1]]
    if None in found or lines[-1]:
        wrong = found.index(None) if None in found else len(found)
        raise ValueError(f"line {wrong + 1} is not a sha256 and a name")
    return {match[2]: match[1] for match in found if match}


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    with _written_whole(path) as file:
        file.write(content)


@contextmanager
def _written_whole(path: Path) -> Iterator[BinaryIO]:
    """Yield a file that stands at the path once it is written: a temporary name, fsync, rename."""
    with no_room_named(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f"{HALF_WRITTEN}{secrets.token_hex(8)}")
        try:
            with temporary.open("xb") as file:  # for whom the umask lets in, as any other file
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


@contextmanager
def no_room_named(path: Path):
    """Say which path found no room, and what to do: the system's own error does not."""
    try:
        yield
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        advice = "make room and run again, what is finished stays"
        raise OSError(error.errno, f"{error.strerror}: {advice}", str(path)) from None


@contextmanager
def scratch_folder(place: Path | None = None) -> Iterator[Path]:
    """Yield a folder under a place, $TMPDIR by default, that goes with the block.

    One that a killed process left there goes once nothing in it was touched for a day.
    """
    place = place or Path(tempfile.gettempdir())
    with no_room_named(place):
        place.mkdir(parents=True, exist_ok=True)
        _remove_half_written(place.glob(f"{HALF_WRITTEN}*"))
        with tempfile.TemporaryDirectory(dir=place, prefix=HALF_WRITTEN) as scratch:
            yield Path(scratch)


def _remove_half_written(paths: Iterable[Path]) -> None:
    """Remove what killed writers left: what a living one writes was touched within a day."""
    for path in paths:
        with suppress(FileNotFoundError, PermissionError):
            touched = max(part.stat().st_mtime for part in (path, *path.rglob("*")))
            if time.time() - touched > SECONDS_OF_A_DAY:
                shutil.rmtree(path) if path.is_dir() else path.unlink()


@contextmanager
def _locked(path: Path):
    """Hold a lock between processes for the length of the block."""
    with no_room_named(path):
        file = path.open("w")
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
