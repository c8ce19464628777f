"""What is tried again, and what fails at once."""

import dagster as dg
import pytest

from assets import materializing
from assets.materializing import ArtifactContents, materialize
from gsr_dagster.experiment.keys import ArtifactKey
from resources.engines.base import EngineDiedError
from resources.store.artifacts import ArtifactStore
from resources.store.errors import ArtifactError
from resources.store.manifests import Recipe
from resources.training.trainer import TrainingDiedError


@pytest.fixture
def attempts(tmp_path, monkeypatch):
    """Return what materializes an asset whose first attempt raises an error: did it succeed, after how many."""
    monkeypatch.setattr(materializing, "SECONDS_BEFORE_A_RETRY", 0)

    def run(error: Exception) -> tuple[bool, int]:
        tried = []

        def make() -> ArtifactContents:
            tried.append(1)
            if len(tried) == 1:
                raise error
            return ArtifactContents([{"row": 1}])

        @dg.asset
        def sums(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
            store = ArtifactStore(root=str(tmp_path / type(error).__name__))
            return materialize(context, store, Recipe(ArtifactKey("sums"), {}), make)

        return dg.materialize([sums], raise_on_error=False).success, len(tried)

    return run


@pytest.mark.parametrize("error", [EngineDiedError("gone"), TrainingDiedError("killed")])
def test_a_step_whose_process_died_is_tried_again(attempts, error):
    assert attempts(error) == (True, 2)


def test_bad_input_is_not_tried_again(attempts):
    assert attempts(ArtifactError("missing")) == (False, 1)


def test_a_current_artifact_with_a_damaged_file_is_made_again(tmp_path, capfd):
    store, recipe, made = ArtifactStore(root=str(tmp_path)), Recipe(ArtifactKey("sums"), {}), []

    @dg.asset
    def sums(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        return materialize(context, store, recipe, lambda: made.append(1) or ArtifactContents([{"row": 1}]))

    assert dg.materialize([sums]).success
    assert dg.materialize([sums]).success
    (shard,) = store.local_shards(recipe.key)
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-1])
    assert dg.materialize([sums]).success
    assert len(made) == 2
    assert shard.read_bytes() == whole
    assert f"{shard.name} is damaged" in capfd.readouterr().err


def test_what_was_read_of_upstream_is_what_the_manifest_names(tmp_path):
    """Upstream that is published while an artifact is made leaves the artifact stale."""
    store, above = ArtifactStore(root=str(tmp_path)), Recipe(ArtifactKey("above"), {})
    recipe = Recipe(ArtifactKey("below"), {}, upstream=(above.key,))
    first = store.publish(above, [store.put_shard(above, [{"row": 1}])], {})

    def make() -> ArtifactContents:
        rows = store.read(above.key)
        if rows == [{"row": 1}]:
            store.publish(above, [store.put_shard(above, [{"row": 2}])], {}, replaced=first)
        return ArtifactContents(rows)

    @dg.asset
    def below(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        return materialize(context, store, recipe, make)

    assert dg.materialize([below]).success
    assert store.existing(recipe.key).upstream == {"above": first.data_version}
    assert store.current(recipe) is None
    assert dg.materialize([below]).success
    assert store.current(recipe)
    assert store.read(recipe.key) == [{"row": 2}]


def test_a_preview_has_room_for_what_people_read(tmp_path):
    row = {"candidate_id": "m/p/0", "prompt_id": "m/p", "problem_id": "p", "seed": 7, "text": "so " * 200}

    @dg.asset
    def pool(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        recipe = Recipe(ArtifactKey("pool"), {})
        return materialize(context, ArtifactStore(root=str(tmp_path)), recipe, lambda: ArtifactContents([row]))

    (shown,) = dg.materialize([pool]).asset_materializations_for_node("pool")[0].metadata["preview"].records
    assert shown.data["candidate_id"] == "m/p/0"
    assert list(shown.data) == ["candidate_id", "text"]
    assert len(str(shown.data["text"])) < 210
