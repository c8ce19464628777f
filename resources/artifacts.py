"""The artifact store: immutable Parquet shards, and a manifest written last.

    <root>/<asset>/<partition>/<fingerprint>/shard-<sha256>.parquet
    <root>/<asset>/<partition>/manifest.json

A shard carries the head of its own hash in its name, so a damaged one is found
without a manifest. A manifest's sha256 is the artifact's data version.
"""

import hashlib
import importlib.metadata
import io
import json
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, ValidationError

VERSIONED = ("gsr-dagster", "math-verify", "peft", "pyarrow", "reasoning-gym", "torch", "transformers", "trl")
NAME_DIGITS = 16

Row = dict[str, Any]


class ArtifactError(RuntimeError):
    """An artifact that is missing or damaged; the message names it and what to do."""


@dataclass(frozen=True, order=True)
class ArtifactKey:
    """An asset and one of its partitions, "" where it has none."""

    asset: str
    partition: str = ""

    @property
    def path(self) -> str:
        return "/".join([self.asset, *filter(None, self.partition.split("|"))])

    def __str__(self) -> str:
        return f"{self.asset}[{self.partition}]" if self.partition else self.asset


@dataclass(frozen=True)
class Recipe:
    """What an artifact is made from: ``settings`` shape its rows, ``wanted`` only says how many."""

    key: ArtifactKey
    settings: dict[str, Any]
    wanted: dict[str, Any] = field(default_factory=dict)
    upstream: tuple[ArtifactKey, ...] = ()

    @cached_property
    def fingerprint(self) -> str:
        return sha256(canonical_json({"asset": self.key.asset, "settings": self.settings}))[:NAME_DIGITS]


class StoredFile(BaseModel):
    """A shard or another file of an artifact; ``rows`` is 0 for a file that is no shard."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str
    sha256: str
    rows: int = 0


class Manifest(BaseModel):
    """What one artifact holds and what it was made from. ``summary`` is what its asset counted."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    asset: str
    partition: str
    fingerprint: str
    settings: dict[str, Any]
    wanted: dict[str, Any]
    shards: tuple[StoredFile, ...]
    files: tuple[StoredFile, ...] = ()
    upstream: dict[str, str]
    summary: dict[str, Any] = {}
    versions: dict[str, str]

    @property
    def rows(self) -> int:
        return sum(shard.rows for shard in self.shards)

    @cached_property
    def data_version(self) -> str:
        """The sha256 of the manifest as written."""
        return sha256(self.encoded)

    @cached_property
    def content(self) -> str:
        """The sha256 of what the artifact holds, whatever it was made with: equal rows and files, equal content."""
        return sha256(canonical_json(sorted(stored.sha256 for stored in (*self.shards, *self.files))))

    @property
    def encoded(self) -> bytes:
        return canonical_json(self.model_dump(mode="json"))


class ArtifactStore(dg.ConfigurableResource):
    """Artifacts under one root folder."""

    root: str

    def manifest(self, key: ArtifactKey) -> Manifest | None:
        """Return the artifact's manifest, None where there is none. Raises ArtifactError on a damaged one."""
        path = Path(self.root, key.path, "manifest.json")
        try:
            return Manifest.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return None
        except (ValidationError, UnicodeDecodeError):
            raise ArtifactError(f"{key}: {path} is damaged; delete it and materialize the asset again") from None

    def existing(self, key: ArtifactKey) -> Manifest:
        """Return the artifact's manifest. Raises ArtifactError where it was not materialized."""
        manifest = self.manifest(key)
        if manifest is None:
            raise ArtifactError(f"{key} is missing: materialize it first")
        return manifest

    def data_version(self, key: ArtifactKey) -> str | None:
        """Return the sha256 of the artifact's manifest, None where there is none."""
        manifest = self.manifest(key)
        return manifest.data_version if manifest else None

    def content(self, key: ArtifactKey) -> str | None:
        """Return the sha256 of what the artifact holds, None where there is none."""
        manifest = self.manifest(key)
        return manifest.content if manifest else None

    def current(self, recipe: Recipe) -> Manifest | None:
        """Return the manifest if the artifact is what the recipe would make from today's upstream."""
        manifest = self.manifest(recipe.key)
        if (
            manifest is None
            or manifest.fingerprint != recipe.fingerprint
            or manifest.wanted != recipe.wanted
            or manifest.upstream != self._upstream(recipe)
        ):
            return None
        folder = self._folder(recipe.key, manifest.fingerprint)
        whole = all((folder / stored.name).is_file() for stored in (*manifest.shards, *manifest.files))
        return manifest if whole else None

    def read(self, key: ArtifactKey) -> list[Row]:
        """Return all rows. Raises ArtifactError where a shard is missing or its hash does not match."""
        manifest = self.existing(key)
        tables = [self.read_shard(key, manifest.fingerprint, shard.name) for shard in manifest.shards]
        return [row for table in tables for row in table.to_pylist()]

    def shard_names(self, recipe: Recipe) -> list[str]:
        """Return the names of the shards that stand in the recipe's folder, with or without a manifest."""
        return sorted(p.name for p in self._folder(recipe.key, recipe.fingerprint).glob("shard-*.parquet"))

    def read_shard(self, key: ArtifactKey, fingerprint: str, name: str) -> pa.Table:
        """Return a shard's table. Raises ArtifactError where it is not what its name's hash says."""
        path = self._folder(key, fingerprint) / name
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            raise ArtifactError(f"{key}: {path} is missing; materialize the asset again") from None
        if _shard_name(content) != name:
            raise ArtifactError(f"{key}: {path} is damaged; materialize the asset again")
        return pq.read_table(io.BytesIO(content))

    def put_shard(self, recipe: Recipe, rows: Sequence[Row]) -> StoredFile:
        """Write rows as one shard, whole or not at all."""
        buffer = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(list(rows)), buffer, compression="zstd")
        content = buffer.getvalue()
        name = _shard_name(content)
        write_atomically(self._folder(recipe.key, recipe.fingerprint) / name, content)
        return StoredFile(name=name, sha256=sha256(content), rows=len(rows))

    def stored_shard(self, recipe: Recipe, name: str, rows: int) -> StoredFile:
        """Return the entry of a shard that stands in the recipe's folder."""
        content = (self._folder(recipe.key, recipe.fingerprint) / name).read_bytes()
        return StoredFile(name=name, sha256=sha256(content), rows=rows)

    def drop_shard(self, recipe: Recipe, name: str) -> None:
        """Remove a damaged shard, so that its rows count as missing."""
        (self._folder(recipe.key, recipe.fingerprint) / name).unlink(missing_ok=True)

    def put_files(self, recipe: Recipe, folder: Path) -> list[StoredFile]:
        """Copy a folder's files into the artifact, each whole or not at all."""
        stored = []
        for path in sorted(p for p in folder.iterdir() if p.is_file()):
            content = path.read_bytes()
            write_atomically(self._folder(recipe.key, recipe.fingerprint) / path.name, content)
            stored.append(StoredFile(name=path.name, sha256=sha256(content)))
        return stored

    def local_files(self, key: ArtifactKey) -> Path:
        """Return a local folder with the artifact's files. Raises ArtifactError where a hash does not match."""
        manifest = self.existing(key)
        folder = self._folder(key, manifest.fingerprint)
        for stored in manifest.files:
            path = folder / stored.name
            if not path.is_file() or sha256(path.read_bytes()) != stored.sha256:
                raise ArtifactError(f"{key}: {path} is missing or damaged; materialize the asset again")
        return folder

    def local_folder(self, recipe: Recipe) -> Path:
        """Return the local folder that the recipe's files stand in."""
        return self._folder(recipe.key, recipe.fingerprint)

    def publish(
        self,
        recipe: Recipe,
        shards: Sequence[StoredFile],
        summary: dict[str, Any],
        files: Sequence[StoredFile] = (),
    ) -> Manifest:
        """Write the manifest, which makes the artifact exist. Raises ArtifactError where upstream is missing."""
        upstream = self._upstream(recipe)
        missing = [name for name, version in upstream.items() if version is None]
        if missing:
            raise ArtifactError(f"{recipe.key} cannot be published: {', '.join(missing)} is missing")
        manifest = Manifest(
            asset=recipe.key.asset,
            partition=recipe.key.partition,
            fingerprint=recipe.fingerprint,
            settings=recipe.settings,
            wanted=recipe.wanted,
            shards=tuple(sorted(shards, key=lambda shard: shard.name)),
            files=tuple(files),
            upstream={name: version for name, version in upstream.items() if version},
            summary=summary,
            versions=package_versions(),
        )
        write_atomically(Path(self.root, recipe.key.path, "manifest.json"), manifest.encoded)
        return manifest

    def _upstream(self, recipe: Recipe) -> dict[str, str | None]:
        return {str(key): self.data_version(key) for key in recipe.upstream}

    def _folder(self, key: ArtifactKey, fingerprint: str) -> Path:
        return Path(self.root, key.path, fingerprint)


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file whole or not at all: a temporary name, fsync, rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".writing-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def canonical_json(value: Any) -> bytes:
    """Return JSON with sorted keys: equal values give equal bytes."""
    return json.dumps(value, sort_keys=True, indent=1, ensure_ascii=False).encode("utf-8", "surrogatepass")


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def package_versions() -> dict[str, str]:
    """Return the versions of the packages that shape artifacts, of those that are installed."""
    versions = {}
    for name in VERSIONED:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def _shard_name(content: bytes) -> str:
    return f"shard-{sha256(content)[:NAME_DIGITS]}.parquet"
