"""DuckDB over the artifacts: a view per asset, with its partition as a column, and one of all gap reports."""

from collections import defaultdict

import duckdb

from gsr_dagster.experiment.keys import ArtifactKey, EvaluationKey
from resources.store.artifacts import ArtifactStore
from resources.store.manifests import Manifest

GAP_SUMMARIES = "gap_summaries"
COUNTS = ("k", "problems", "groups")
SCORES = ("pass_at_1", "pass_at_k", "maj_at_k", "self_ref_at_k", "refinement_gap")
OF_A_GAP = {
    **dict.fromkeys(("lane", "partition", "benchmark", "subject"), "varchar"),
    **dict.fromkeys(COUNTS, "bigint"),
    **dict.fromkeys((*SCORES, "gap_low", "gap_high"), "double"),
}


# A query with one of these asks about the views themselves.
OF_VIEWS = ("show", "information_schema", "duckdb_", "pg_catalog", "sqlite_master", "query_table")


def view_names(store: ArtifactStore) -> list[str]:
    """Return the names of all views."""
    manifests = list(map(store.existing, store.verified.published()))
    gaps = [GAP_SUMMARIES] if any(_is_gap_report(manifest.key) for manifest in manifests) else []
    tables = {table for manifest in manifests for table in _tables(manifest)}
    return sorted({*gaps, *tables, *(_view(manifest.key) for manifest in manifests if manifest.shards)})


def session(store: ArtifactStore, query: str | None = None) -> duckdb.DuckDBPyConnection:
    """Return a connection with a view per asset, `base_candidate_pools` for base/candidate_pools.

    A view holds the shards that the manifests of its partitions name, and no others; its
    first column is the partition. `gap_summaries` holds a row a gap report: the scores, as
    fractions, and the gap with its interval. `training_rollouts` holds what students wrote while they learned from
    rewards. Every shard of a view is held against its hash: with a
    ``query`` only the views that it names are there.
    """
    published = store.verified.published()
    beside = {key: tables for key in published if (tables := _tables(store.existing(key)))}
    names = _named({GAP_SUMMARIES, *map(_view, published), *(t for of_key in beside.values() for t in of_key)}, query)
    shards: dict[str, dict[str, list[str]]] = defaultdict(dict)
    for key in published:
        if _view(key) in names:
            shards[_view(key)][key.partition] = [str(path) for path in store.local_shards(key)]
    for key, tables in beside.items():
        if tables & names:
            for table, paths in store.local_tables(key).items():
                shards[table][key.partition] = [str(path) for path in paths]
    connection = duckdb.connect()
    for name, of_partition in shards.items():
        if view := " union all by name ".join(_select(*part) for part in of_partition.items() if part[1]):
            connection.execute(f"create view {quoted(name)} as {view}")
    gaps = [_gap(key, store.existing(key)) for key in published if _is_gap_report(key)]
    if gaps and GAP_SUMMARIES in names:
        columns = ", ".join(f"{name} {kind}" for name, kind in OF_A_GAP.items())
        connection.execute(f"create table {GAP_SUMMARIES} ({columns})")
        places = ", ".join("?" * len(OF_A_GAP))
        rows = [[gap.get(name) for name in OF_A_GAP] for gap in gaps]
        connection.executemany(f"insert into {GAP_SUMMARIES} values ({places})", rows)
    return connection


def _named(names: set[str], query: str | None) -> set[str]:
    """Return the names that stand in a query; all of them where none does, or it asks about the views themselves."""
    text = (query or "").lower()
    found = {name for name in names if name.lower() in text}
    return names if not found or any(word in text for word in OF_VIEWS) else found


def _view(key: ArtifactKey) -> str:
    return key.asset.replace("/", "_")


def _tables(manifest: Manifest) -> set[str]:
    """Return the further tables of an artifact."""
    return {stored.name.partition("/")[0] for stored in manifest.files if stored.rows}


def _is_gap_report(key: ArtifactKey) -> bool:
    return bool(key.lane) and key.name == "gap_reports"


def _select(partition: str, files: list[str]) -> str:
    listed = ", ".join(_literal(file) for file in files)
    return f"select {_literal(partition)} as partition, * from read_parquet([{listed}], union_by_name = true)"


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _gap(key: ArtifactKey, manifest: Manifest) -> dict[str, object]:
    evaluation = EvaluationKey.of(key)
    summary = manifest.summary
    gap = (summary.get("intervals") or {}).get("refinement_gap") or {}
    return {
        "lane": key.lane,
        "partition": key.partition,
        "benchmark": evaluation.benchmark,
        "subject": evaluation.subject,
        **{name: summary.get(name) for name in (*COUNTS, *SCORES)},
        "gap_low": gap.get("low"),
        "gap_high": gap.get("high"),
    }
