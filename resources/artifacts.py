"""The artifact store: immutable Parquet shards, and a manifest written last.

    <root>/<asset>/<partition>/<fingerprint>/shard-<sha256>.parquet
    <root>/<asset>/<partition>/<fingerprint>/files-<sha256>/<name>
    <root>/<asset>/<partition>/<fingerprint>/files-<sha256>/SHA256SUMS
    <root>/<asset>/<partition>/manifest.json

The root is a local folder or s3://BUCKET/PREFIX. A shard carries the head of its own hash
in its name, and other files lie in a folder named by their SHA256SUMS: none is ever
written over, and a damaged one is found without a manifest.
"""

import io
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ValidationError

from resources.manifests import (
    NAME_DIGITS,
    ArtifactKey,
    ForeignManifestError,
    Manifest,
    Recipe,
    StoredFile,
    canonical_json,
    first_fault,
    package_versions,
    sha256,
)
from resources.objects import (
    HASHES,
    ConflictError,
    LocalObjects,
    Objects,
    S3Objects,
    cache_folder,
    read_sha256sums,
    scratch_folder,
    sha256_of_file,
    sha256sums,
)
from resources.rows import Row

log = logging.getLogger(__name__)


class ArtifactError(RuntimeError):
    """An artifact that is missing or damaged; the message names it and what to do."""


class DamageError(ArtifactError):
    """A stored file that is not what its hash says: ``fault`` names it, with what is wrong."""

    def __init__(self, fault: str):
        super().__init__(f"{fault}; materialize the asset again (gsr verify --drop, then gsr run)")
        self.fault = fault


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
        """Return the artifact's manifest, None where there is none, or a damaged one, of which the log warns.

        Without it the artifact is made again, from the shards that are whole.
        """
        name = _manifest_name(key)
        return self._intact(name, self.objects.read(name), key)

    def existing(self, key: ArtifactKey) -> Manifest:
        """Return the artifact's manifest. Raises ArtifactError where it was not materialized, or is damaged."""
        manifest = self._manifest(_manifest_name(key), key)
        if manifest is None:
            raise ArtifactError(f"{key} is missing: materialize it first")
        return manifest

    def summary(self, key: ArtifactKey, shape: type[BaseModel]) -> dict[str, Any]:
        """Return what the artifact's asset counted, of which ``shape`` names what is needed.

        Raises ArtifactError where it was not materialized, or holds something else.
        """
        try:
            return shape.model_validate_json(canonical_json(self.existing(key).summary), strict=True).model_dump()
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
        folder = PurePosixPath(_folder(recipe.key, manifest.fingerprint))
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
        names = self.objects.names(_folder(recipe.key, recipe.fingerprint))
        return [name for name in names if name.startswith("shard-")]

    def read_shard(self, key: ArtifactKey, fingerprint: str, name: str, *columns: str) -> pa.Table:
        """Return a shard's table, or some of its columns. Raises ArtifactError where it is not what its name's hash says."""
        return _table(self._shard(key, fingerprint, name).read_bytes(), columns)

    def put_shard(self, recipe: Recipe, rows: Sequence[Row]) -> StoredFile:
        """Write rows as one shard, whole or not at all."""
        buffer = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(list(rows)), buffer, compression="zstd")
        content = buffer.getvalue()
        name = _shard_name(content)
        self.objects.write(f"{_folder(recipe.key, recipe.fingerprint)}/{name}", content)
        return StoredFile(name=name, sha256=sha256(content), rows=len(rows))

    def stored_shard(self, recipe: Recipe, name: str, *columns: str) -> tuple[StoredFile, pa.Table]:
        """Return the entry of a shard that stands in the recipe's folder, and some of its columns."""
        content = self._shard(recipe.key, recipe.fingerprint, name).read_bytes()
        table = _table(content, columns)
        return StoredFile(name=name, sha256=sha256(content), rows=table.num_rows), table

    def drop_file(self, recipe: Recipe, name: str) -> None:
        """Remove a damaged file, so that what it holds counts as missing."""
        self.objects.remove(f"{_folder(recipe.key, recipe.fingerprint)}/{name}")

    def put_files(self, recipe: Recipe, folder: Path) -> list[StoredFile]:
        """Copy a folder's files into the artifact, each whole or not at all, beside what another run made.

        The last of them is their SHA256SUMS.
        """
        paths = sorted(path for path in folder.iterdir() if path.is_file())
        hashes = {path.name: sha256_of_file(path) for path in paths}
        sums = sha256sums(hashes).encode()
        place = f"files-{sha256(sums)[:NAME_DIGITS]}"
        for path in paths:
            self.objects.upload(f"{_folder(recipe.key, recipe.fingerprint)}/{place}/{path.name}", path)
        self.objects.write(f"{_folder(recipe.key, recipe.fingerprint)}/{place}/{HASHES}", sums)
        hashes[HASHES] = sha256(sums)
        return [StoredFile(name=f"{place}/{name}", sha256=digest) for name, digest in hashes.items()]

    def local_files(self, key: ArtifactKey) -> Path:
        """Return a local folder with the artifact's files. Raises ArtifactError where a hash does not match."""
        manifest = self.existing(key)
        paths = [self._file(key, manifest.fingerprint, stored) for stored in manifest.files]
        if isinstance(self.objects, LocalObjects) or not paths:
            return paths[0].parent if paths else Path(self.root, _folder(key, manifest.fingerprint))
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
        return [self._file(key, manifest.fingerprint, shard) for shard in manifest.shards]

    def published(self) -> list[ArtifactKey]:
        """Return the keys of all artifacts that were published. Raises ArtifactError on a damaged manifest."""
        found = [name for name in self.objects.tree() if name.endswith("/manifest.json")]
        manifests = [manifest for name in found if (manifest := self._manifest(name))]
        return sorted(manifest.key for manifest in manifests)

    def damage(self) -> Iterator[tuple[str, str]]:
        """Yield every stored file that is missing or not what its hash says: its name, and what is wrong.

        Shards are held against their names, other files against their manifest and their
        SHA256SUMS. Where both of these are damaged, so is all that they name. What is
        yielded was read just now: another run may make it again at any time.
        """
        names = self.objects.tree()
        expected: dict[str, str] = {}
        unknown: set[str] = set()
        for name in names:
            folder, _, last = name.rpartition("/")
            if last.startswith("shard-"):
                expected[name] = _digest(last)
            elif last == HASHES:
                expected[name] = _digest(folder.rpartition("/")[2])
                try:
                    hashes = read_sha256sums(self._checked(name, expected[name]).read_bytes())
                    expected |= {f"{folder}/{file}": digest for file, digest in hashes.items()}
                except (DamageError, ValueError):
                    unknown.add(folder)
            elif last == "manifest.json":
                try:
                    manifest = self._manifest(name)
                except DamageError as error:
                    yield name, error.fault
                except ArtifactError as error:
                    log.warning("%s", error)
                else:
                    if manifest:  # it may be gone by now
                        expected |= {f"{folder}/{manifest.fingerprint}/{s.name}": s.sha256 for s in manifest.stored}
        for name, digest in expected.items():
            if fault := self._fault(name, digest):
                yield name, fault
        for name in names:
            if name.rpartition("/")[0] in unknown and name not in expected:
                yield name, f"{self.objects.address(name)} cannot be checked: what holds its hash is damaged"

    def damaged_files(self, manifest: Manifest) -> Iterator[tuple[str, str]]:
        """Yield the names of an artifact's files that are missing or not what their hashes say, with what is wrong."""
        for stored in manifest.stored:
            name = f"{_folder(manifest.key, manifest.fingerprint)}/{stored.name}"
            if fault := self._fault(name, stored.sha256, manifest.key):
                yield stored.name, fault

    def address(self, recipe: Recipe, name: str) -> str:
        """Return where a file of the recipe's artifact lies, for people."""
        return self.objects.address(f"{_folder(recipe.key, recipe.fingerprint)}/{name}")

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
        name = _manifest_name(recipe.key)
        before = self.objects.read(name)
        try:
            if _version(self._intact(name, before, recipe.key)) != _version(replaced):
                raise ConflictError(name)
            self.objects.replace(name, manifest.encoded, before)
        except ConflictError:
            if self.data_version(recipe.key) != manifest.data_version:
                raise ArtifactError(
                    f"{recipe.key}: another run published it in the meantime, and its artifact stays; "
                    "materialize again to bring it up to date"
                ) from None
        return manifest

    def _manifest(self, name: str, key: ArtifactKey | None = None) -> Manifest | None:
        return self._decoded(name, self.objects.read(name), key)

    def _intact(self, name: str, content: bytes | None, key: ArtifactKey) -> Manifest | None:
        """Return a manifest, None for none and for a damaged one, of which the log warns."""
        try:
            return self._decoded(name, content, key)
        except DamageError as error:
            log.warning("%s", error)
            return None

    def _decoded(self, name: str, content: bytes | None, key: ArtifactKey | None) -> Manifest | None:
        if content is None:
            return None
        try:
            manifest = Manifest.decode(content)
        except ValueError as error:
            raise DamageError(f"{self._named(name, key)} is damaged: {error}") from None
        except ForeignManifestError as error:
            raise ArtifactError(
                f"{self._named(name, key)} is of another version of gsr: {error}; use that one, or move it away"
            ) from None
        if name != _manifest_name(manifest.key):
            raise DamageError(f"{self._named(name, key)} is damaged: it is the manifest of {manifest.key}")
        return manifest

    def _shard(self, key: ArtifactKey, fingerprint: str, name: str) -> Path:
        return self._checked(f"{_folder(key, fingerprint)}/{name}", _digest(name), key)

    def _file(self, key: ArtifactKey, fingerprint: str, stored: StoredFile) -> Path:
        return self._checked(f"{_folder(key, fingerprint)}/{stored.name}", stored.sha256, key)

    def _named(self, name: str, key: ArtifactKey | None) -> str:
        return f"{key}: {self.objects.address(name)}" if key else self.objects.address(name)

    def _fault(self, name: str, digest: str, key: ArtifactKey | None = None) -> str | None:
        """Return what is wrong with a stored file, None where its sha256 begins with ``digest``."""
        try:
            self._checked(name, digest, key)
        except DamageError as error:
            return error.fault
        except ArtifactError as error:
            return str(error)

    def _checked(self, name: str, digest: str, key: ArtifactKey | None = None) -> Path:
        """Return a local file whose sha256 begins with ``digest``; a cached one that does not is fetched again."""
        found = ""
        for fresh in (False, True):
            path = self.objects.local(name, fresh)
            if path is None:
                raise ArtifactError(f"{self._named(name, key)} is missing; materialize the asset again")
            found = sha256_of_file(path)
            if len(digest) >= NAME_DIGITS and found.startswith(digest):
                return path
        wrong = f"its sha256 begins with {found[:NAME_DIGITS]}, not {digest[:NAME_DIGITS]}"
        raise DamageError(f"{self._named(name, key)} is damaged: {wrong}")


def _table(content: bytes, columns: Sequence[str]) -> pa.Table:
    # Without pyarrow's threads: now and then they abort a process that ends, and a shard is small.
    return pq.read_table(io.BytesIO(content), columns=list(columns) or None, use_threads=False, pre_buffer=False)


def _folder(key: ArtifactKey, fingerprint: str) -> str:
    return f"{key.path}/{fingerprint}"


def _manifest_name(key: ArtifactKey) -> str:
    return f"{key.path}/manifest.json"


def _shard_name(content: bytes) -> str:
    return f"shard-{sha256(content)[:NAME_DIGITS]}.parquet"


def _digest(name: str) -> str:
    """Return the head of a sha256 that a name carries: shard-<sha256>.parquet, files-<sha256>."""
    return name.partition("-")[2].removesuffix(".parquet")


def _version(manifest: Manifest | None) -> str | None:
    return manifest.data_version if manifest else None
