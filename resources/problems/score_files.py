"""Scores that someone recorded for candidates: ``candidate_id`` and ``score`` in a JSONL or Parquet file."""

import math
from collections.abc import Collection
from pathlib import Path

import duckdb

from resources.store.errors import ArtifactError


def read_scores(path: Path, candidate_ids: Collection[str]) -> dict[str, float]:
    """Return the recorded score of every candidate; the file may hold others.

    Raises ArtifactError where the file cannot be read, lacks a candidate, scores one
    twice, or holds a score that is no finite number.
    """
    source = "read_parquet" if path.suffix == ".parquet" else "read_json_auto"
    try:
        with duckdb.connect() as connection:
            query = f"select candidate_id, score::double from {source}(?)"
            rows = connection.execute(query, [str(path)]).fetchall()
    except duckdb.Error as error:
        raise ArtifactError(f"{path}: no candidate_id and score can be read: {error}") from None
    wanted = set(candidate_ids)
    scores: dict[str, float] = {}
    for candidate_id, score in rows:
        if candidate_id not in wanted:
            continue
        if candidate_id in scores:
            raise ArtifactError(f"{path}: {candidate_id} is scored twice")
        if score is None or not math.isfinite(score):
            raise ArtifactError(f"{path}: the score of {candidate_id} is {score}, not a finite number")
        scores[candidate_id] = score
    lacking = sorted(wanted - scores.keys())
    if lacking:
        raise ArtifactError(f"{path}: {len(lacking)} of {len(wanted)} candidates have no score, as {lacking[0]}")
    return scores
