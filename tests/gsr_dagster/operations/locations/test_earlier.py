"""A home from before an asset's key named its experiment: its artifacts are told as made before, once."""

import dagster as dg
import pytest

from gsr_dagster.definitions import build_definitions
from gsr_dagster.experiment.keys import ArtifactKey, page_key
from gsr_dagster.experiment.loading import load_experiment
from gsr_dagster.operations.home import artifact_store
from gsr_dagster.operations.locations.earlier import TOLD, tell_of_earlier

POOLS = page_key("recorded", "base/candidate_pools")


@pytest.fixture
def experiment(recorded_family, tmp_path, monkeypatch):
    """The experiment, with the artifacts of a benchmark and of one partition made on another instance."""
    monkeypatch.setenv("GSR_HOME", str(tmp_path / "home"))
    experiment = load_experiment(recorded_family.path)
    made(experiment, dg.DagsterInstance.ephemeral(), "short")
    return experiment


def made(experiment, instance: dg.DagsterInstance, benchmark: str) -> None:
    definitions = build_definitions(experiment)
    for job, partition in (("benchmarks", benchmark), ("base_evaluation", f"{benchmark}|qwen2.5-7b")):
        run = definitions.resolve_job_def(f"recorded_{job}").execute_in_process(
            instance=instance, partition_key=partition
        )
        assert run.success


def test_what_stands_in_the_store_is_told_once_as_made_before_with_its_version_and_former_history(experiment):
    instance, store = dg.DagsterInstance.ephemeral(), artifact_store(experiment)
    former = dg.AssetKey(["base", "candidate_pools"])
    instance.report_runless_asset_event(dg.AssetMaterialization(former, partition="short|qwen2.5-7b"))
    assert tell_of_earlier(experiment, instance, store) == 5
    assert tell_of_earlier(experiment, instance, store) == 0
    assert instance.get_materialized_partitions(POOLS) == {"short|qwen2.5-7b"}
    told = instance.get_latest_materialization_event(POOLS).asset_materialization
    assert told.metadata["made"].value == TOLD
    assert told.metadata["history_until_then"].asset_key == former
    version = store.data_version(ArtifactKey("base/candidate_pools", "short|qwen2.5-7b"))
    assert told.tags["dagster/data_version"] == version
    problems = instance.get_latest_materialization_event(page_key("recorded", "benchmark_problems"))
    assert "history_until_then" not in problems.asset_materialization.metadata


def test_what_dagster_knows_is_not_told_again(experiment):
    instance, store = dg.DagsterInstance.ephemeral(), artifact_store(experiment)
    made(experiment, instance, "long")
    assert tell_of_earlier(experiment, instance, store) == 5
    assert instance.get_materialized_partitions(POOLS) == {"short|qwen2.5-7b", "long|qwen2.5-7b"}
    last = instance.fetch_materializations(dg.AssetRecordsFilter(POOLS, asset_partitions=["long|qwen2.5-7b"]), limit=9)
    assert [record.asset_materialization.description for record in last.records] != [TOLD]


def test_of_an_empty_store_nothing_is_told(experiment, tmp_path, monkeypatch):
    monkeypatch.setenv("GSR_HOME", str(tmp_path / "empty"))
    assert tell_of_earlier(experiment, dg.DagsterInstance.ephemeral(), artifact_store(experiment)) == 0
