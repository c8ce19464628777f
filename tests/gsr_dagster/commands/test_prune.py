"""Pruning: what nothing refers to goes, and a store is as current after it as before."""

import os
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from gsr_dagster.commands.main import main
from gsr_dagster.commands.prune import in_use
from gsr_dagster.experiment.keys import ArtifactKey
from gsr_dagster.operations.lanes import lanes
from resources.store.errors import DamageError
from resources.store.pruning import remove, superseded
from tests.running import recipe_of
from tests.school import STUDENT, School

GRADED = ArtifactKey("base/graded_candidates", "sums|llama-big")


@pytest.fixture
def school(finished_school, tmp_path) -> School:
    return finished_school.copy(tmp_path / "artifacts")


def names(found) -> set[str]:
    return {file.name for file in found.files}


def found_in(school: School, days: float = 0.0):
    return superseded(school.store, in_use(school.experiment, school.store), days)


def current(school: School) -> list[bool]:
    every = [(lane, partition) for lane in lanes(school.experiment) for partition in lane.partitions]
    return [not lane.stale(school.store, partition) for lane, partition in every]


def test_of_a_finished_experiment_nothing_goes(school):
    assert found_in(school) == superseded(school.store, set(), 0.0)
    assert found_in(school).files == []


def test_what_another_shard_took_the_place_of_goes_and_nothing_else(school):
    stood = {shard.name for shard in school.store.existing(GRADED).shards}
    school.rewrite(GRADED.asset, GRADED.partition, lambda rows: rows[::-1])
    assert {name.rpartition("/")[2] for name in names(found_in(school))} == stood
    assert {file.asset for file in found_in(school).files} == {"base/graded_candidates"}
    before = current(school), school.store.read(GRADED)
    remove(school.store, found_in(school).files)
    assert found_in(school).files == []
    assert list(school.store.verified.damage()) == []
    assert (current(school), school.store.read(GRADED)) == before


def test_samples_that_a_stopped_run_goes_on_from_stay_and_those_of_other_settings_go(school):
    key = ArtifactKey("teacher_solutions", STUDENT)
    recipe = recipe_of(school.experiment, school.store, key)
    manifest = Path(school.store.root) / key.path / "manifest.json"
    manifest.unlink()
    assert found_in(school).files == []
    other = school.copy(Path(school.store.root).with_name("other"), seed=7)
    assert recipe_of(other.experiment, other.store, key).fingerprint != recipe.fingerprint
    gone = found_in(other)
    assert {file.asset for file in gone.files} == {"teacher_solutions"}
    assert sum(file.size for file in gone.files) == sum(
        os.stat(Path(other.store.root) / file.name).st_size for file in gone.files
    )


def test_what_is_younger_than_a_day_stays_by_default(school):
    school.rewrite(GRADED.asset, GRADED.partition, lambda rows: rows[::-1])
    found = found_in(school, days=1.0)
    assert (found.files, found.recent) == ([], 1)
    (old,) = found_in(school).files
    yesterday = time.time() - 2 * 24 * 3600
    os.utime(Path(school.store.root) / old.name, (yesterday, yesterday))
    assert names(found_in(school, days=1.0)) == {old.name}


def test_where_a_manifest_is_damaged_nothing_goes(school):
    (Path(school.store.root) / GRADED.path / "manifest.json").write_text("{")
    with pytest.raises(DamageError):
        found_in(school)


def test_the_command_shows_first_and_removes_when_it_is_told_to(school, monkeypatch):
    monkeypatch.setattr("gsr_dagster.commands.prune.artifact_store", lambda experiment: school.store)
    monkeypatch.setattr("gsr_dagster.commands.options.load_experiment", lambda *_: school.experiment)
    school.rewrite(GRADED.asset, GRADED.partition, lambda rows: rows[::-1])

    def told(*options: str) -> str:
        result = CliRunner().invoke(main, ["-e", "demo", "prune", *options])
        assert result.exit_code == 0, result.output
        return result.output

    assert "1 more is younger than 1 day" in told()
    assert "1 file, " in told("--days", "0")
    assert names(found_in(school))
    assert "1 file removed" in told("--days", "0", "--remove")
    assert "Nothing to prune" in told("--days", "0")
