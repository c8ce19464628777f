"""The artifact store: immutable Parquet shards, and a manifest written last.

    <root>/<asset>/<partition>/<fingerprint>/shard-<sha256>.parquet
    <root>/<asset>/<partition>/<fingerprint>/files-<sha256>/<name>
    <root>/<asset>/<partition>/<fingerprint>/files-<sha256>/SHA256SUMS
    <root>/<asset>/<partition>/manifest.json

The root is a local folder or lies in a bucket (resources/store/roots.py). A shard carries the head of its own hash
in its name, and other files lie in a folder named by their SHA256SUMS: none is ever
written over, and a damaged one is found without a manifest.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

import pyarrow as pa
from pydantic import TypeAdapter, ValidationError

from gsr_dagster.experiment.keys import ArtifactKey
from gsr_dagster.method.rows import Row
from resources.store.columns import table_of
from resources.store.errors import ArtifactError
from resources.store.files import cache_folder, scratch_folder
from resources.store.hashes import HASHES, sha256, sha256_of_file, sha256sums
from resources.store.manifests import (
    NAME_DIGITS,
    Manifest,
    Recipe,
    StoredFile,
    first_fault,
    package_versions,
)
from resources.store.objects.base import ConflictError, Objects
from resources.store.objects.cloud import CloudObjects
from resources.store.objects.local import LocalObjects
from resources.store.objects.s3 import S3Objects
from resources.store.roots import artifact_root
from resources.store.tables import decode, digest_in_name, encode, shard_name
from resources.store.verification import VerifiedObjects, artifact_folder, manifest_name

Summary = TypeVar("Summary")

FILES_AT_ONCE = 8


@dataclass(frozen=True)
class ArtifactStore:
    """Artifacts under one root: a local folder, or an address in a bucket."""

    root: str

    @cached_property
    def objects(self) -> Objects:
        return open_objects(self.root)

    @cached_property
    def verified(self) -> VerifiedObjects:
        return VerifiedObjects(self.objects)

    def manifest(self, key: ArtifactKey) -> Manifest | None:
        """Return the artifact's manifest, None where there is none, or a damaged one, of which the log warns.

        Without it the artifact is made again, from the shards that are whole.
        """
        name = manifest_name(key)
        return self.verified.intact(name, self.objects.read(name), key)

    def existing(self, key: ArtifactKey) -> Manifest:
        """Return the artifact's manifest. Raises ArtifactError where it was not materialized, or is damaged."""
        manifest = self.verified.manifest(manifest_name(key), key)
        if manifest is None:
            raise ArtifactError(f"{key} is missing: materialize it first")
        return manifest

    def summary(self, key: ArtifactKey, shape: type[Summary]) -> Summary:
        """Return what was counted while the artifact was made, as a dataclass.

        Raises ArtifactError where it was not materialized, or counted something else.
        """
        try:
            return adapter(shape).validate_json(json.dumps(self.existing(key).summary), strict=True)
        except ValidationError as error:
            raise ArtifactError(
                f"{key} was not written by this version of gsr: summary.{first_fault(error)}; materialize it again"
            ) from None

    def data_version(self, key: ArtifactKey) -> str | None:
        """Return the sha256 of the artifact's manifest, None where there is none."""
        return _version(self.manifest(key))

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
            or manifest.upstream != self.upstream(recipe)
        ):
            return None
        folder = PurePosixPath(artifact_folder(recipe.key, manifest.fingerprint))
        wanted = {folder / stored.name for stored in manifest.stored}
        there = {place / name for place in {path.parent for path in wanted} for name in self.objects.names(str(place))}
        return manifest if there >= wanted else None

    def read(self, key: ArtifactKey) -> list[Row]:
        """Return all rows. Raises ArtifactError where a shard is missing or its hash does not match."""
        return list(self.rows(key))

    def rows(self, key: ArtifactKey, *columns: str) -> Iterator[Row]:
        """Yield the rows, or some of their columns, with one shard in memory at a time. Raises as ``read`` does."""
        manifest = self.existing(key)
        return self.read_shards(key, manifest.fingerprint, manifest.shards, *columns)

    def read_shards(
        self, key: ArtifactKey, fingerprint: str, shards: Sequence[StoredFile], *columns: str
    ) -> Iterator[Row]:
        """Yield the rows of shards, or some of their columns, with or without a manifest that names them."""
        for shard in shards:
            yield from self.read_shard(key, fingerprint, shard.name, *columns).to_pylist()

    def shard_names(self, recipe: Recipe) -> list[str]:
        """Return the names of the shards that stand in the recipe's folder, with or without a manifest."""
        names = self.objects.names(artifact_folder(recipe.key, recipe.fingerprint))
        return [name for name in names if name.startswith("shard-")]

    def read_shard(self, key: ArtifactKey, fingerprint: str, name: str, *columns: str) -> pa.Table:
        """Return a shard's table, or some of its columns. Raises ArtifactError where it is not what its name's hash says."""
        return decode(self._shard(key, fingerprint, name).read_bytes(), columns)

    def put_shard(self, recipe: Recipe, rows: Sequence[Row]) -> StoredFile:
        """Write rows as one shard, whole or not at all, with the columns of their asset."""
        return self._put_rows(recipe, recipe.key.asset, rows)

    def put_table(self, recipe: Recipe, table: str, rows: Sequence[Row]) -> StoredFile:
        """Write rows of another table than the asset's own as one shard of it, in a folder named by the table."""
        return self._put_rows(recipe, table, rows, f"{table}/")

    def _put_rows(self, recipe: Recipe, table: str, rows: Sequence[Row], folder: str = "") -> StoredFile:
        content = encode(table_of(table, rows))
        name = f"{folder}{shard_name(content)}"
        self.objects.write(f"{artifact_folder(recipe.key, recipe.fingerprint)}/{name}", content)
        return StoredFile(name=name, sha256=sha256(content), rows=len(rows))

    def stored_shard(self, recipe: Recipe, name: str, *columns: str) -> tuple[StoredFile, pa.Table]:
        """Return the entry of a shard that stands in the recipe's folder, and some of its columns."""
        content = self._shard(recipe.key, recipe.fingerprint, name).read_bytes()
        table = decode(content, columns)
        return StoredFile(name=name, sha256=sha256(content), rows=table.num_rows), table

    def drop_file(self, recipe: Recipe, name: str) -> None:
        """Remove a damaged file, so that what it holds counts as missing."""
        self.objects.remove(f"{artifact_folder(recipe.key, recipe.fingerprint)}/{name}")

    def put_files(self, recipe: Recipe, folder: Path) -> list[StoredFile]:
        """Copy a folder's files into the artifact, each whole or not at all, beside what another run made.

        The last of them is their SHA256SUMS.
        """
        paths = sorted(path for path in folder.iterdir() if path.is_file())
        hashes = {path.name: sha256_of_file(path) for path in paths}
        sums = sha256sums(hashes).encode()
        place = f"files-{sha256(sums)[:NAME_DIGITS]}"
        for path in paths:
            self.objects.upload(f"{artifact_folder(recipe.key, recipe.fingerprint)}/{place}/{path.name}", path)
        self.objects.write(f"{artifact_folder(recipe.key, recipe.fingerprint)}/{place}/{HASHES}", sums)
        hashes[HASHES] = sha256(sums)
        return [StoredFile(name=f"{place}/{name}", sha256=digest) for name, digest in hashes.items()]

    def local_files(self, key: ArtifactKey) -> Path:
        """Return a local folder with the artifact's files, without tables. Raises ArtifactError where a hash does not match."""
        manifest = self.existing(key)
        files = [stored for stored in manifest.files if not stored.rows]
        paths = self._files(key, manifest.fingerprint, files)
        if isinstance(self.objects, LocalObjects) or not paths:
            return paths[0].parent if paths else Path(self.root, artifact_folder(key, manifest.fingerprint))
        # Files of one artifact lie apart in the cache: they are brought together by links.
        folder = cache_folder() / "artifacts" / manifest.content
        folder.mkdir(parents=True, exist_ok=True)
        for path in paths:
            link = folder / path.name
            if not link.is_symlink() or link.readlink() != path:
                with scratch_folder(folder) as scratch:
                    (scratch / "link").symlink_to(path)
                    os.replace(scratch / "link", link)
        return folder

    def local_shards(self, key: ArtifactKey) -> list[Path]:
        """Return local files with the artifact's shards. Raises ArtifactError where one is missing."""
        manifest = self.existing(key)
        return self._files(key, manifest.fingerprint, manifest.shards)

    def local_tables(self, key: ArtifactKey) -> dict[str, list[Path]]:
        """Return local files with the shards of an artifact's further tables, by the table."""
        manifest, found = self.existing(key), dict[str, list[Path]]()
        shards = [stored for stored in manifest.files if stored.rows]
        for stored, path in zip(shards, self._files(key, manifest.fingerprint, shards), strict=True):
            found.setdefault(stored.name.partition("/")[0], []).append(path)
        return found

    def address(self, recipe: Recipe, name: str) -> str:
        """Return where a file of the recipe's artifact lies, for people."""
        return self.objects.address(f"{artifact_folder(recipe.key, recipe.fingerprint)}/{name}")

    def upstream(self, recipe: Recipe) -> dict[str, str | None]:
        """Return the data version of all that the recipe names upstream, None for what is missing."""
        return {str(key): self.data_version(key) for key in recipe.upstream}

    def publish(
        self,
        recipe: Recipe,
        shards: Sequence[StoredFile],
        summary: dict[str, Any],
        files: Sequence[StoredFile] = (),
        replaced: Manifest | None = None,
        upstream: Mapping[str, str | None] | None = None,
    ) -> Manifest:
        """Write the manifest, which makes the artifact exist, in place of ``replaced``.

        ``upstream`` is what stood there before it was read, today's by default. Raises
        ArtifactError where some of it was missing, or where another run published
        something else in the meantime: what it wrote stays whole.
        """
        upstream = self.upstream(recipe) if upstream is None else upstream
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
        name = manifest_name(recipe.key)
        before = self.objects.read(name)
        try:
            if _version(self.verified.intact(name, before, recipe.key)) != _version(replaced):
                raise ConflictError(name)
            self.objects.replace(name, manifest.encoded, before)
        except ConflictError:
            if self.data_version(recipe.key) != manifest.data_version:
                raise ArtifactError(
                    f"{recipe.key}: another run published it in the meantime, and its artifact stays; "
                    "materialize again to bring it up to date"
                ) from None
        return manifest

    def _shard(self, key: ArtifactKey, fingerprint: str, name: str) -> Path:
        return self.verified.file(f"{artifact_folder(key, fingerprint)}/{name}", digest_in_name(name), key)

    def _files(self, key: ArtifactKey, fingerprint: str, stored: Sequence[StoredFile]) -> list[Path]:
        """Return local files, several fetched and hashed at once: a bucket answers late, not slowly."""
        with ThreadPoolExecutor(FILES_AT_ONCE) as pool:
            return list(pool.map(lambda one: self._file(key, fingerprint, one), stored))

    def _file(self, key: ArtifactKey, fingerprint: str, stored: StoredFile) -> Path:
        return self.verified.file(f"{artifact_folder(key, fingerprint)}/{stored.name}", stored.sha256, key)


@cache
def adapter(shape: type[Summary]) -> TypeAdapter[Summary]:
    return TypeAdapter(shape)


def _version(manifest: Manifest | None) -> str | None:
    return manifest.data_version if manifest else None


def open_objects(root: str) -> Objects:
    """Return the objects under a local folder or in a bucket. Raises UserError for any other root.

    Endpoint, region and credentials are found the usual way of each cloud: variables,
    profiles, roles.
    """
    root = artifact_root(root)
    if root.startswith("s3://"):
        from dagster_aws.s3 import S3Resource

        return S3Objects(root, S3Resource().get_client(), cache_folder() / "s3")
    if root.startswith(("gs://", "az://")):
        return CloudObjects(root, cache_folder() / "cloud")
    return LocalObjects(Path(root))
