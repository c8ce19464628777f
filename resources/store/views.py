"""DuckDB over the artifacts: a view per asset, with its partition as a column."""

import duckdb

from resources.store.artifacts import ArtifactStore


def session(store: ArtifactStore) -> duckdb.DuckDBPyConnection:
    """Return a connection with a view per asset, `base_candidate_pools` for base/candidate_pools.

    A view holds the shards that the manifests of its partitions name, and no others.
    """
    shards: dict[str, list[str]] = {}
    for key in store.verified.published():
        shards.setdefault(key.asset.replace("/", "_"), []).extend(map(str, store.local_shards(key)))
    connection = duckdb.connect()
    for name, files in shards.items():
        if files:
            relation = connection.read_parquet(files, union_by_name=True)
            relation.create_view(name)
    return connection
