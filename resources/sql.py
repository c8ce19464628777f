"""DuckDB over the artifacts: a view per asset, with its partition as a column."""

import json
from pathlib import Path

import duckdb

from resources.artifacts import ArtifactKey, ArtifactStore


def session(store: ArtifactStore) -> duckdb.DuckDBPyConnection:
    """Return a connection with a view per asset, `base_candidate_pools` for base/candidate_pools.

    A view holds the shards that the manifests of its partitions name, and no others.
    """
    shards: dict[str, list[str]] = {}
    for path in sorted(Path(store.root).rglob("manifest.json")):
        named = json.loads(path.read_bytes())
        manifest = store.existing(ArtifactKey(named["asset"], named["partition"]))
        files = [str(path.parent / manifest.fingerprint / shard.name) for shard in manifest.shards]
        shards.setdefault(manifest.asset.replace("/", "_"), []).extend(files)
    connection = duckdb.connect()
    for name, files in shards.items():
        if files:
            relation = connection.read_parquet(files, union_by_name=True)
            relation.create_view(name)
    return connection
