"""What an artifact's fingerprint depends on, and what it does not."""

import copy

import pytest

from assets.recipes import Recipes
from gsr_dagster.experiment.experiment import Experiment
from tests.school import STUDENT


@pytest.fixture
def changed(finished_school):
    """Return the recipes of the finished school, with another engine for the student's base."""

    def recipes(**engine: str) -> Recipes:
        written = copy.deepcopy(finished_school.written)
        written["families"]["llama"]["tiny"]["engine"] = engine
        return Recipes(Experiment.model_validate(written), finished_school.store)

    return recipes


def test_another_engine_samples_anew_and_trains_nothing_again(finished_school, changed):
    before, after = finished_school.recipes, changed(kind="vllm")
    pools = [recipes.candidate_pools("base", "sums", "llama-tiny").fingerprint for recipes in (before, after)]
    assert pools[0] != pools[1]
    assert before.lora_checkpoints(STUDENT).fingerprint == after.lora_checkpoints(STUDENT).fingerprint


def test_another_served_model_samples_anew(changed):
    served = [changed(kind="openai", base_url="http://host/v1", model=name) for name in ("A", "B")]
    pools = [recipes.candidate_pools("base", "sums", "llama-tiny").fingerprint for recipes in served]
    assert pools[0] != pools[1]
