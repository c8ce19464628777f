"""The files of a store that nothing refers to any more: shards, reports and checkpoints that newer ones replaced."""

import re
import time
from collections.abc import Collection
from dataclasses import dataclass

from gsr_dagster.experiment.keys import LANES
from resources.store.artifacts import ArtifactStore
from resources.store.files import SECONDS_OF_A_DAY
from resources.store.manifests import NAME_DIGITS
from resources.store.verification import artifact_folder

FINGERPRINT = re.compile(rf"[0-9a-f]{{{NAME_DIGITS}}}")


@dataclass(frozen=True)
class Superseded:
    """A file that nothing refers to: its name, the asset it was made for, and its bytes."""

    name: str
    asset: str
    size: int


@dataclass(frozen=True)
class Unreferred:
    """The files that nothing refers to: those that are old enough to go, and how many were written since."""

    files: list[Superseded]
    recent: int


def superseded(store: ArtifactStore, in_use: Collection[tuple[str, str]], days: float = 1.0) -> Unreferred:
    """Return the stored files that no manifest names and no run may still use.

    ``in_use`` names assets and fingerprints: a run that was killed goes on from their samples. They are kept in
    every partition, since students share samples. Files younger than ``days`` may belong to a run that is
    under way. Raises ArtifactError where a manifest is damaged: what it refers to is not known.
    """
    referred = {
        f"{artifact_folder(key, manifest.fingerprint)}/{stored.name}"
        for key in store.verified.published()
        for manifest in [store.existing(key)]
        for stored in manifest.stored
    }
    found, recent, latest = [], 0, time.time() - days * SECONDS_OF_A_DAY
    listed = store.objects.listed()
    for name in sorted(set(store.verified.names()) & listed.keys() - referred):
        folder, _, last = name.rpartition("/")
        if last == "manifest.json":
            continue
        place, _, fingerprint = _of_artifact(folder)
        asset = _asset(place)
        if (asset, fingerprint) in in_use:
            continue
        size, changed = listed[name]
        if changed > latest:
            recent += 1
        else:
            found.append(Superseded(name, asset, size))
    return Unreferred(found, recent)


def _of_artifact(folder: str) -> tuple[str, str, str]:
    """Return an artifact's place and fingerprint of the folder of a shard, or of one with files or another table in it."""
    parent, _, last = folder.rpartition("/")
    return (folder if FINGERPRINT.fullmatch(last) else parent).rpartition("/")


def _asset(place: str) -> str:
    """Return the asset of an artifact's place: what is before its partition."""
    parts = place.split("/")
    if parts[0] in LANES:
        return "/".join(parts[: 3 if parts[1] == "aggregation" else 2])
    return parts[0]


def remove(store: ArtifactStore, files: Collection[Superseded]) -> None:
    """Remove files of a store."""
    for file in files:
        store.objects.remove(file.name)
