"""Grading a pool that is larger than what is held in memory."""

import shutil
from pathlib import Path

from gsr_dagster.experiment.keys import ArtifactKey
from tests.running import recipe_of

POOL, GRADED = (ArtifactKey(f"base/{name}", "sums|llama-tiny") for name in ("candidate_pools", "graded_candidates"))


def test_a_pool_that_is_graded_in_parts_gets_the_same_grades(finished_school, tmp_path, monkeypatch):
    school = finished_school.copy(tmp_path / "artifacts")
    store, recipe = school.store, recipe_of(school.experiment, school.store, POOL)
    pool = store.read(POOL)
    drawn_out_of_order = [store.put_shard(recipe, pool[start::3]) for start in range(3)]
    store.publish(recipe, drawn_out_of_order, {}, replaced=store.existing(POOL))
    shutil.rmtree(Path(store.root) / GRADED.path)
    monkeypatch.setattr("assets.evaluation.candidates.CANDIDATES_AT_ONCE", 10)
    assert school.run(GRADED.asset, GRADED.partition).success
    before, after = finished_school.store.existing(GRADED), store.existing(GRADED)
    assert (len(before.shards), len(after.shards)) == (1, 10)
    assert after.summary == before.summary
    rows = {row["candidate_id"]: row for row in store.read(GRADED)}
    assert rows == {row["candidate_id"]: row for row in finished_school.store.read(GRADED)}
    assert len(rows) == len(pool)
