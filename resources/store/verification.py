"""Stored objects held against their hashes: whatever is read is read from here."""

import logging
from collections.abc import Iterator
from pathlib import Path

from gsr_dagster.experiment.keys import ArtifactKey
from resources.store.errors import ArtifactError, DamageError
from resources.store.hashes import HASHES, read_sha256sums, sha256_of_file
from resources.store.manifests import NAME_DIGITS, ForeignManifestError, Manifest
from resources.store.objects.base import Objects
from resources.store.tables import digest_in_name

log = logging.getLogger(__name__)


def artifact_folder(key: ArtifactKey, fingerprint: str) -> str:
    return f"{key.path}/{fingerprint}"


def manifest_name(key: ArtifactKey) -> str:
    return f"{key.path}/manifest.json"


class VerifiedObjects:
    """Objects that are given out only where they are what their hashes say."""

    def __init__(self, objects: Objects):
        self.objects = objects

    def file(self, name: str, digest: str, key: ArtifactKey | None = None) -> Path:
        """Return a local file whose sha256 begins with ``digest``; a cached one that does not is fetched again.

        Raises ArtifactError where there is none, DamageError where its hash is another.
        """
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

    def fault(self, name: str, digest: str, key: ArtifactKey | None = None) -> str | None:
        """Return what is wrong with a stored file, None where its sha256 begins with ``digest``."""
        try:
            self.file(name, digest, key)
        except DamageError as error:
            return error.fault
        except ArtifactError as error:
            return str(error)

    def manifest(self, name: str, key: ArtifactKey | None = None) -> Manifest | None:
        """Return the manifest of a name, None where there is none. Raises ArtifactError where it is damaged, or foreign."""
        return self.decoded(name, self.objects.read(name), key)

    def decoded(self, name: str, content: bytes | None, key: ArtifactKey | None = None) -> Manifest | None:
        """Return the manifest that was read under a name. Raises as ``manifest`` does."""
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
        if name != manifest_name(manifest.key):
            raise DamageError(f"{self._named(name, key)} is damaged: it is the manifest of {manifest.key}")
        return manifest

    def intact(self, name: str, content: bytes | None, key: ArtifactKey) -> Manifest | None:
        """Return a manifest, None for none and for a damaged one, of which the log warns."""
        try:
            return self.decoded(name, content, key)
        except DamageError as error:
            log.warning("%s", error)
            return None

    def published(self) -> list[ArtifactKey]:
        """Return the keys of all artifacts that were published. Raises ArtifactError on a damaged manifest."""
        found = [name for name in self.objects.tree() if name.endswith("/manifest.json")]
        manifests = [manifest for name in found if (manifest := self.manifest(name))]
        return sorted(manifest.key for manifest in manifests)

    def names(self) -> list[str]:
        """Return the names of all stored files: shards, manifests, and what lies in folders of other files."""
        return [name for name in self.objects.tree() if _is_stored(name)]

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
                expected[name] = digest_in_name(last)
            elif last == HASHES:
                expected[name] = digest_in_name(folder.rpartition("/")[2])
                try:
                    hashes = read_sha256sums(self.file(name, expected[name]).read_bytes())
                    expected |= {f"{folder}/{file}": digest for file, digest in hashes.items()}
                except (DamageError, ValueError):
                    unknown.add(folder)
            elif last == "manifest.json":
                try:
                    manifest = self.manifest(name)
                except DamageError as error:
                    yield name, error.fault
                except ArtifactError as error:
                    log.warning("%s", error)
                else:
                    if manifest:  # it may be gone by now
                        expected |= {f"{folder}/{manifest.fingerprint}/{s.name}": s.sha256 for s in manifest.stored}
        for name, digest in expected.items():
            if fault := self.fault(name, digest):
                yield name, fault
        for name in names:
            if name.rpartition("/")[0] in unknown and name not in expected:
                yield name, f"{self.objects.address(name)} cannot be checked: what holds its hash is damaged"

    def damaged_files(self, manifest: Manifest) -> Iterator[tuple[str, str]]:
        """Yield the names of an artifact's files that are missing or not what their hashes say, with what is wrong."""
        for stored in manifest.stored:
            name = f"{artifact_folder(manifest.key, manifest.fingerprint)}/{stored.name}"
            if fault := self.fault(name, stored.sha256, manifest.key):
                yield stored.name, fault

    def _named(self, name: str, key: ArtifactKey | None) -> str:
        return f"{key}: {self.objects.address(name)}" if key else self.objects.address(name)


def _is_stored(name: str) -> bool:
    *folders, last = name.split("/")
    return last.startswith("shard-") or last == "manifest.json" or bool(folders and folders[-1].startswith("files-"))
