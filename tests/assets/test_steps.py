"""What an artifact's fingerprint depends on, what it does not, and what Dagster takes an asset to depend on."""

import copy

import pytest

from assets.evaluation.fingerprints import CandidatePools
from assets.teaching.fingerprints import LoraCheckpoints
from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.experiment.keys import ArtifactKey, asset_of
from gsr_dagster.operations.lanes import all_steps
from tests.school import STUDENT


@pytest.fixture
def changed(finished_school):
    """Return the experiment of the finished school, with another engine for the student's base."""

    def experiment(**engine: str) -> Experiment:
        written = copy.deepcopy(finished_school.written)
        written["families"]["llama"]["tiny"]["engine"] = engine
        return Experiment.model_validate(written)

    return experiment


def pool_fingerprint(experiment: Experiment, store) -> str:
    return CandidatePools(experiment, "base").recipe(store, "sums|llama-tiny").fingerprint


def test_another_engine_samples_anew_and_trains_nothing_again(finished_school, changed):
    before, after, store = finished_school.experiment, changed(kind="vllm"), finished_school.store
    assert pool_fingerprint(before, store) != pool_fingerprint(after, store)
    checkpoints = [LoraCheckpoints(experiment).recipe(store, STUDENT).fingerprint for experiment in (before, after)]
    assert checkpoints[0] == checkpoints[1]


def test_another_served_model_samples_anew(finished_school, changed):
    served = [changed(kind="openai", base_url="http://host/v1", model=name) for name in ("A", "B")]
    pools = [pool_fingerprint(experiment, finished_school.store) for experiment in served]
    assert pools[0] != pools[1]


def test_an_asset_comes_after_all_that_its_artifacts_are_made_from_and_after_its_gates(finished_school):
    graph = finished_school.definitions.resolve_asset_graph()
    for step in all_steps(finished_school.experiment).values():
        upstream = {key.asset for partition in step.partitions for key in step.upstream(partition)}
        parents, before = (
            {asset_of(key) for key in keys}
            for keys in (graph.get(step.page_key).parent_keys, graph.get_ancestor_asset_keys(step.page_key))
        )
        assert parents <= upstream | set(step.gates) <= before, step.asset
    assert "contamination" in all_steps(finished_school.experiment)["training_candidates"].gates


def test_an_asset_names_no_dependency_that_another_of_its_dependencies_has_already(finished_school):
    graph = finished_school.definitions.resolve_asset_graph()
    for asset in graph.get_all_asset_keys():
        parents = graph.get(asset).parent_keys
        assert not any(parents & graph.get_ancestor_asset_keys(parent) for parent in parents), asset


def test_every_stored_artifact_names_what_its_step_says_is_upstream(finished_school):
    for asset, step in all_steps(finished_school.experiment).items():
        for partition in step.partitions:
            manifest = finished_school.store.existing(ArtifactKey(asset, partition))
            assert set(manifest.upstream) == set(map(str, step.upstream(partition))), asset
