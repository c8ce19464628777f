"""The artifact store: immutable Parquet shards, and a manifest written last.

    <root>/<asset>/<partition>/<fingerprint>/shard-<sha256>.parquet
    <root>/<asset>/<partition>/manifest.json

The root is a local folder or s3://BUCKET/PREFIX.

A shard carries the head of its own hash in its name, so a damaged one is found
without a manifest. A manifest's sha256 is the artifact's data version.
"""

import hashlib
import importlib.metadata
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from resources.objects import ConflictError, LocalObjects, Objects, S3Objects
from resources.weights import cache_folder

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


# What a manifest may name: nothing that leads out of its folder, and nothing that DuckDB takes for a pattern.
NAME = r"[A-Za-z0-9_][A-Za-z0-9_.-]*"
FileName = Annotated[str, Field(pattern=rf"^{NAME}(/{NAME})?$")]
AssetName = Annotated[str, Field(pattern=rf"^{NAME}(/{NAME})?$")]
PartitionKey = Annotated[str, Field(pattern=rf"^({NAME}(\|{NAME})?)?$")]
ArtifactName = Annotated[str, Field(pattern=rf"^{NAME}(/{NAME})?(\[{NAME}(\|{NAME})?\])?$")]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{1,64}$")]


class StoredFile(BaseModel):
    """A shard or another file of an artifact; ``rows`` is 0 for a file that is no shard."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: FileName
    sha256: Digest
    rows: Annotated[int, Field(ge=0)] = 0


class Manifest(BaseModel):
    """What one artifact holds and what it was made from. ``summary`` is what its asset counted."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    asset: AssetName
    partition: PartitionKey
    fingerprint: Digest
    settings: dict[str, Any]
    wanted: dict[str, Any]
    shards: tuple[StoredFile, ...]
    files: tuple[StoredFile, ...] = ()
    upstream: dict[ArtifactName, Digest]
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
    """Artifacts under one root: a local folder, or s3://BUCKET/PREFIX.

    S3's endpoint, region and credentials are found the usual way: AWS_* variables,
    profiles, roles.
    """

    root: str

    @cached_property
    def objects(self) -> Objects:
        if self.root.startswith("s3://"):
            from dagster_aws.s3 import S3Resource

            return S3Objects(self.root, S3Resource().get_client(), cache_folder() / "s3")
        return LocalObjects(Path(self.root))

    def manifest(self, key: ArtifactKey) -> Manifest | None:
        """Return the artifact's manifest, None where there is none. Raises ArtifactError on a damaged one."""
        return self._decoded(_manifest_name(key))

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
        there = set(self.objects.names(_folder(recipe.key, manifest.fingerprint)))
        return manifest if there >= {stored.name for stored in (*manifest.shards, *manifest.files)} else None

    def read(self, key: ArtifactKey) -> list[Row]:
        """Return all rows. Raises ArtifactError where a shard is missing or its hash does not match."""
        manifest = self.existing(key)
        return self.read_shards(key, manifest.fingerprint, manifest.shards)

    def read_shards(self, key: ArtifactKey, fingerprint: str, shards: Sequence[StoredFile]) -> list[Row]:
        """Return the rows of shards, with or without a manifest that names them."""
        tables = [self.read_shard(key, fingerprint, shard.name) for shard in shards]
        return [row for table in tables for row in table.to_pylist()]

    def shard_names(self, recipe: Recipe) -> list[str]:
        """Return the names of the shards that stand in the recipe's folder, with or without a manifest."""
        names = self.objects.names(_folder(recipe.key, recipe.fingerprint))
        return [name for name in names if name.startswith("shard-")]

    def read_shard(self, key: ArtifactKey, fingerprint: str, name: str) -> pa.Table:
        """Return a shard's table. Raises ArtifactError where it is not what its name's hash says."""
        return pq.read_table(io.BytesIO(self._shard(key, fingerprint, name)))

    def put_shard(self, recipe: Recipe, rows: Sequence[Row]) -> StoredFile:
        """Write rows as one shard, whole or not at all."""
        buffer = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(list(rows)), buffer, compression="zstd")
        content = buffer.getvalue()
        name = _shard_name(content)
        self.objects.write(f"{_folder(recipe.key, recipe.fingerprint)}/{name}", content)
        return StoredFile(name=name, sha256=sha256(content), rows=len(rows))

    def stored_shard(self, recipe: Recipe, name: str, rows: int) -> StoredFile:
        """Return the entry of a shard that stands in the recipe's folder."""
        return StoredFile(name=name, sha256=sha256(self._shard(recipe.key, recipe.fingerprint, name)), rows=rows)

    def drop_shard(self, recipe: Recipe, name: str) -> None:
        """Remove a damaged shard, so that its rows count as missing."""
        self.objects.remove(f"{_folder(recipe.key, recipe.fingerprint)}/{name}")

    def put_files(self, recipe: Recipe, folder: Path) -> list[StoredFile]:
        """Copy a folder's files into the artifact, each whole or not at all."""
        stored = []
        for path in sorted(p for p in folder.iterdir() if p.is_file()):
            self.objects.upload(f"{_folder(recipe.key, recipe.fingerprint)}/{path.name}", path)
            stored.append(StoredFile(name=path.name, sha256=sha256_of_file(path)))
        return stored

    def local_files(self, key: ArtifactKey) -> Path:
        """Return a local folder with the artifact's files. Raises ArtifactError where a hash does not match."""
        manifest = self.existing(key)
        paths = [self._file(key, manifest.fingerprint, stored) for stored in manifest.files]
        if isinstance(self.objects, LocalObjects) or not paths:
            return Path(self.root, _folder(key, manifest.fingerprint))
        # Files of one artifact lie apart in the cache: they are brought together by links.
        folder = cache_folder() / "artifacts" / manifest.content
        folder.mkdir(parents=True, exist_ok=True)
        for path, stored in zip(paths, manifest.files, strict=True):
            if not (folder / stored.name).exists():
                (folder / stored.name).symlink_to(path)
        return folder

    def local_shards(self, key: ArtifactKey) -> list[Path]:
        """Return local files with the artifact's shards. Raises ArtifactError where one is missing."""
        manifest = self.existing(key)
        return [self._file(key, manifest.fingerprint, shard) for shard in manifest.shards]

    def published(self) -> list[ArtifactKey]:
        """Return the keys of all artifacts that were published."""
        found = [name for name in self.objects.tree() if name.endswith("/manifest.json")]
        manifests = [manifest for name in found if (manifest := self._decoded(name))]
        return sorted(ArtifactKey(manifest.asset, manifest.partition) for manifest in manifests)

    def address(self, recipe: Recipe, name: str) -> str:
        """Return where a file of the recipe's artifact lies, for people."""
        return self.objects.address(f"{_folder(recipe.key, recipe.fingerprint)}/{name}")

    def publish(
        self,
        recipe: Recipe,
        shards: Sequence[StoredFile],
        summary: dict[str, Any],
        files: Sequence[StoredFile] = (),
        replaced: Manifest | None = None,
    ) -> Manifest:
        """Write the manifest, which makes the artifact exist, in place of ``replaced``.

        Raises ArtifactError where upstream is missing, or where another run published
        something else in the meantime: what it wrote stays whole.
        """
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
        try:
            before = replaced.encoded if replaced else None
            self.objects.replace(_manifest_name(recipe.key), manifest.encoded, before)
        except ConflictError:
            if self.manifest(recipe.key) != manifest:
                raise ArtifactError(
                    f"{recipe.key}: another run published it in the meantime, and its artifact stays; "
                    "materialize again to bring it up to date"
                ) from None
        return manifest

    def _decoded(self, name: str) -> Manifest | None:
        content = self.objects.read(name)
        try:
            return None if content is None else Manifest.model_validate_json(content)
        except (ValidationError, UnicodeDecodeError):
            address = self.objects.address(name)
            raise ArtifactError(f"{address} is damaged; delete it and materialize the asset again") from None

    def _upstream(self, recipe: Recipe) -> dict[str, str | None]:
        return {str(key): self.data_version(key) for key in recipe.upstream}

    def _shard(self, key: ArtifactKey, fingerprint: str, name: str) -> bytes:
        place = f"{_folder(key, fingerprint)}/{name}"
        content = self.objects.read(place)
        if content is None:
            raise ArtifactError(f"{key}: {self.objects.address(place)} is missing; materialize the asset again")
        if _shard_name(content) != name:
            raise ArtifactError(f"{key}: {self.objects.address(place)} is damaged; materialize the asset again")
        return content

    def _file(self, key: ArtifactKey, fingerprint: str, stored: StoredFile) -> Path:
        place = f"{_folder(key, fingerprint)}/{stored.name}"
        path = self.objects.local(place)
        if path is None or sha256_of_file(path) != stored.sha256:
            address = self.objects.address(place)
            raise ArtifactError(f"{key}: {address} is missing or damaged; materialize the asset again")
        return path


def _folder(key: ArtifactKey, fingerprint: str) -> str:
    return f"{key.path}/{fingerprint}"


def _manifest_name(key: ArtifactKey) -> str:
    return f"{key.path}/manifest.json"


def canonical_json(value: Any) -> bytes:
    """Return JSON with sorted keys: equal values give equal bytes."""
    return json.dumps(value, sort_keys=True, indent=1, ensure_ascii=False).encode("utf-8", "surrogatepass")


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def sha256_of_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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
