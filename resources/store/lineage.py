"""Lineage by the manifests' hashes: from an artifact to everything it was made from."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gsr_dagster.experiment.keys import ArtifactKey
from resources.store.artifacts import ArtifactStore
from resources.store.errors import ArtifactError, DamageError

CHECKPOINTS = "lora_checkpoints"


@dataclass(frozen=True)
class Link:
    """One artifact on the way up: how deep, what it is, and whether it still is what its maker read, or damaged."""

    depth: int
    text: str
    holds: bool
    damaged: bool = False


def walk(store: ArtifactStore, asset: str, partition: str) -> Iterator[Link]:
    """Yield an artifact and all its upstream, depth first, each shard and file checked by its hash.

    A link does not hold where the artifact is missing or damaged, or where its data
    version is not the one that the artifact below it recorded.
    """
    yield from _walk(store, ArtifactKey(asset, partition), None, 0, {}, set())


def broken_links(store: ArtifactStore, asset: str, partition: str) -> list[Link]:
    """Return the links on an artifact's way up that do not hold."""
    return [link for link in walk(store, asset, partition) if not link.holds]


def recorded_versions(store: ArtifactStore, key: ArtifactKey) -> dict[str, str]:
    """Return the data version of all that an artifact was made from, by its name, as the manifests recorded it.

    What lies above a missing manifest is not among them.
    """
    manifest = store.manifest(key)
    upstream = manifest.upstream if manifest else {}
    further = [recorded_versions(store, ArtifactKey.parse(name)) for name in upstream]
    return {**{name: version for versions in further for name, version in versions.items()}, **upstream}


def _walk(
    store: ArtifactStore,
    key: ArtifactKey,
    recorded: str | None,
    depth: int,
    read: dict[ArtifactKey, int],
    walked: set[ArtifactKey],
) -> Iterator[Link]:
    """Yield the links. ``read`` holds the rows of what was read on the way: its hashes were checked."""
    try:
        manifest = store.existing(key)
        if key not in read:
            tables = (store.read_shard(key, manifest.fingerprint, shard.name) for shard in manifest.shards)
            rows = sum(table.num_rows for table in tables)
            store.local_files(key)
            store.local_tables(key)
            read[key] = rows
    except ArtifactError as error:
        yield Link(depth, f"{key}: BROKEN, {error}", False, isinstance(error, DamageError))
        return
    version, shown = manifest.data_version, key in walked and key.asset == CHECKPOINTS
    walked.add(key)
    if recorded is not None and recorded != version:
        text = f"{key}: BROKEN, it is {version[:12]} now and was {recorded[:12]} when it was read"
        yield Link(depth, text, False)
    else:
        if shown:  # of rounds of students each is made from many things that are made from it
            yield Link(depth, f"{key} {version[:12]} (shown above)", True)
            return
        facts = ", ".join(
            [f"{read[key]} rows", *(f"{Path(f.name).name} {f.sha256[:12]}" for f in manifest.files if not f.rows)]
        )
        yield Link(depth, f"{key} {version[:12]} ({facts})", True)
    for name, version_read in sorted(manifest.upstream.items()):
        yield from _walk(store, ArtifactKey.parse(name), version_read, depth + 1, read, walked)
