import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from resources.problems.score_files import read_scores
from resources.store.errors import ArtifactError

ROWS = [{"candidate_id": f"m/p/{i}", "score": score} for i, score in enumerate([0.5, -2, 1e-3])]


def written(folder, rows, name="scores.jsonl") -> Path:
    path = folder / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_the_scores_of_the_candidates_are_read_from_either_kind_of_file(tmp_path):
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "scores.parquet")
    for path in (written(tmp_path, ROWS), tmp_path / "scores.parquet"):
        assert read_scores(path, ["m/p/2", "m/p/0"]) == {"m/p/0": 0.5, "m/p/2": 1e-3}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (ROWS[:2], "1 of 3 candidates have no score, as m/p/2"),
        ([*ROWS, ROWS[0]], "m/p/0 is scored twice"),
        ([*ROWS[:2], {"candidate_id": "m/p/2", "score": None}], "the score of m/p/2 is None, not a finite number"),
        ([*ROWS[:2], {"candidate_id": "m/p/2", "score": "high"}], "no candidate_id and score can be read"),
        ([{"id": "m/p/0", "value": 1}], "no candidate_id and score can be read"),
    ],
)
def test_a_file_that_does_not_score_every_candidate_once_is_refused(tmp_path, rows, message):
    with pytest.raises(ArtifactError, match=message):
        read_scores(written(tmp_path, rows), ["m/p/0", "m/p/1", "m/p/2"])


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ArtifactError, match=r"nowhere\.jsonl"):
        read_scores(tmp_path / "nowhere.jsonl", ["m/p/0"])
