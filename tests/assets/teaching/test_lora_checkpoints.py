"""When a student is trained, and when its checkpoint is taken as it is."""

from collections.abc import Callable
from pathlib import Path

import pytest

from gsr_dagster.experiment.keys import ArtifactKey
from resources.store.lineage import broken_links
from tests import school
from tests.school import STUDENT, School


@pytest.fixture
def trained(monkeypatch, tmp_path_factory) -> tuple[School, Callable[[], int]]:
    """A finished school, and how often its student was trained since."""
    school.play(monkeypatch)
    monkeypatch.setattr("resources.engines.loading._loaded", {})
    made = School(school.document(tmp_path_factory.mktemp("written")), tmp_path_factory.mktemp("artifacts"))
    made.run_all()
    times = []

    def counted(*arguments, **more):
        times.append(1)
        return school.scripted_training(*arguments, **more)

    monkeypatch.setattr("resources.training.trainer.Trainer.train", counted)
    return made, lambda: len(times)


def test_the_same_rows_made_again_are_not_learned_again(trained):
    made, times = trained
    before = made.store.existing(ArtifactKey("lora_checkpoints", STUDENT))
    made.rewrite("training_sets", STUDENT, note="made again")
    assert broken_links(made.store, "lora_checkpoints", STUDENT)
    assert made.run("lora_checkpoints", STUDENT).success
    after = made.store.existing(ArtifactKey("lora_checkpoints", STUDENT))
    assert times() == 0
    assert (after.files, after.shards, after.summary) == (before.files, before.shards, before.summary)
    assert not broken_links(made.store, "lora_checkpoints", STUDENT)


def test_the_same_rows_in_another_order_are_learned(trained):
    made, times = trained
    made.rewrite("training_sets", STUDENT, lambda rows: rows[::-1])
    assert made.run("lora_checkpoints", STUDENT).success
    assert times() == 1


def test_a_damaged_checkpoint_is_trained_again(trained):
    made, times = trained
    made.rewrite("training_sets", STUDENT, note="made again")
    (weights,) = Path(made.store.root).glob("lora_checkpoints/**/adapter_model.safetensors")
    weights.write_bytes(b"damaged")
    assert made.run("lora_checkpoints", STUDENT).success
    assert times() == 1
    assert not broken_links(made.store, "lora_checkpoints", STUDENT)
