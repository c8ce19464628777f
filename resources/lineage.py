"""Lineage by the manifests' hashes: from an artifact to everything it was made from."""

from collections.abc import Iterator
from dataclasses import dataclass

from resources.artifacts import ArtifactError, ArtifactKey, ArtifactStore


@dataclass(frozen=True)
class Link:
    """One artifact on the way up: how deep, what it is, and whether it still is what its maker read."""

    depth: int
    text: str
    holds: bool


def walk(store: ArtifactStore, asset: str, partition: str) -> Iterator[Link]:
    """Yield an artifact and all its upstream, depth first, each shard and file checked by its hash.

    A link does not hold where the artifact is missing or damaged, or where its data
    version is not the one that the artifact below it recorded.
    """
    yield from _walk(store, ArtifactKey(asset, partition), None, 0)


def _walk(store: ArtifactStore, key: ArtifactKey, recorded: str | None, depth: int) -> Iterator[Link]:
    try:
        manifest = store.existing(key)
        rows = sum(store.read_shard(key, manifest.fingerprint, shard.name).num_rows for shard in manifest.shards)
        store.local_files(key)
    except ArtifactError as error:
        yield Link(depth, f"{key}: BROKEN, {error}", False)
        return
    version = manifest.data_version
    if recorded is not None and recorded != version:
        text = f"{key}: BROKEN, it is {version[:12]} now and was {recorded[:12]} when it was read"
        yield Link(depth, text, False)
    else:
        facts = ", ".join([f"{rows} rows", *(f"{f.name} {f.sha256[:12]}" for f in manifest.files)])
        yield Link(depth, f"{key} {version[:12]} ({facts})", True)
    for name, version_read in sorted(manifest.upstream.items()):
        asset, _, rest = name.partition("[")
        yield from _walk(store, ArtifactKey(asset, rest.removesuffix("]")), version_read, depth + 1)
