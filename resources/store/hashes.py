"""Hashes of files, and lists of them as `sha256sum --check` reads them."""

import hashlib
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from resources.store.errors import ArtifactError

# The hashes of the files beside it.
HASHES = "SHA256SUMS"
# A part of a name: nothing that leads out of its folder, and nothing that DuckDB takes for a pattern.
NAME = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}"
HASH_LINE = re.compile(rf"([0-9a-f]{{64}})  ({NAME})")


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


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


def input_sha256(path: Path) -> str:
    """Return the sha256 of a file that the experiment names, read once for each state of it.

    Raises ArtifactError where it cannot be read.
    """
    try:
        stat = path.stat()
        return _sha256_of_state(path, stat.st_size, stat.st_mtime_ns, stat.st_ino)
    except OSError as error:
        raise ArtifactError(f"{path}: {error.strerror}") from None


@lru_cache(maxsize=1024)
def _sha256_of_state(path: Path, size: int, changed: int, inode: int) -> str:
    return sha256_of_file(path)
