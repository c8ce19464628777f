"""DuckDB over the artifacts: a view per asset, with its partition as a column, and one of all gap reports."""

from collections import defaultdict

import duckdb
import pyarrow as pa

from gsr_dagster.experiment.keys import ArtifactKey
from resources.store.artifacts import ArtifactStore
from resources.store.columns import NUMBER, TEXT, WHOLE
from resources.store.manifests import Manifest

GAP_SUMMARIES = "gap_summaries"
COUNTS = ("k", "problems", "groups")
SCORES = ("pass_at_1", "pass_at_k", "maj_at_k", "self_ref_at_k", "refinement_gap")
OF_A_GAP = {
    **dict.fromkeys(("lane", "partition", "benchmark", "subject"), TEXT),
    **dict.fromkeys(COUNTS, WHOLE),
    **dict.fromkeys((*SCORES, "gap_low", "gap_high"), NUMBER),
}


def session(store: ArtifactStore) -> duckdb.DuckDBPyConnection:
    """Return a connection with a view per asset, `base_candidate_pools` for base/candidate_pools.

    A view holds the shards that the manifests of its partitions name, and no others; its
    first column is the partition. `gap_summaries` holds a row a gap report: the scores, as
    fractions, and the gap with its interval.
    """
    shards: dict[str, dict[str, list[str]]] = defaultdict(dict)
    gaps = []
    for key in store.verified.published():
        shards[key.asset.replace("/", "_")][key.partition] = [str(path) for path in store.local_shards(key)]
        if key.lane and key.name == "gap_reports":
            gaps.append(_gap(key, store.existing(key)))
    connection = duckdb.connect()
    for name, of_partition in shards.items():
        if view := " union all by name ".join(_select(*part) for part in of_partition.items() if part[1]):
            connection.execute(f"create view {quoted(name)} as {view}")
    if gaps:
        columns = {name: pa.array([gap.get(name) for gap in gaps], kind) for name, kind in OF_A_GAP.items()}
        connection.from_arrow(pa.table(columns)).create(GAP_SUMMARIES)
    return connection


def _select(partition: str, files: list[str]) -> str:
    listed = ", ".join(_literal(file) for file in files)
    return f"select {_literal(partition)} as partition, * from read_parquet([{listed}], union_by_name = true)"


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _gap(key: ArtifactKey, manifest: Manifest) -> dict[str, object]:
    benchmark, subject = key.partition.split("|")
    summary = manifest.summary
    gap = (summary.get("intervals") or {}).get("refinement_gap") or {}
    return {
        "lane": key.lane,
        "partition": key.partition,
        "benchmark": benchmark,
        "subject": subject,
        **{name: summary.get(name) for name in (*COUNTS, *SCORES)},
        "gap_low": gap.get("low"),
        "gap_high": gap.get("high"),
    }
