"""A student's folder: what is in it, when it is refused, and that it is there whole or not at all."""

import copy
import json
from pathlib import Path

import pytest

from assets.teaching.teaching_run import TeachingRun
from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.experiment.keys import ArtifactKey
from gsr_dagster.operations.exporting.student_folder import ExportError, export_student
from resources.store.errors import ArtifactError, DamageError
from tests.school import STUDENT, School


@pytest.fixture
def school(finished_school: School, tmp_path: Path) -> School:
    return finished_school.copy(tmp_path / "artifacts")


def run_of(school: School, written: dict | None = None) -> TeachingRun:
    experiment = Experiment.model_validate(written) if written else school.experiment
    return TeachingRun(experiment, school.store, STUDENT)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_an_adapter_is_exported_as_it_was_trained_and_names_no_base_that_nobody_else_has(school, tmp_path):
    folder = tmp_path / "new" / "student"
    export_student(run_of(school), folder, merged=False)
    found = contents(folder)
    assert set(found) == {"adapter_model.safetensors", "adapter_config.json", "README.md"}
    trained = school.store.local_files(ArtifactKey("lora_checkpoints", STUDENT))
    assert found["adapter_model.safetensors"] == (trained / "adapter_model.safetensors").read_bytes()
    config = json.loads(found["adapter_config.json"])
    assert config == {"r": 2, "peft_type": "LORA", "base_model_name_or_path": None, "revision": None}
    assert [path.name for path in folder.parent.iterdir()] == ["student"]


def test_a_folder_that_holds_something_is_left_as_it_is_and_an_empty_one_is_used(school, tmp_path):
    folder = tmp_path / "student"
    folder.mkdir()
    (folder / "mine.txt").write_text("mine")
    with pytest.raises(ExportError, match="is there and not empty"):
        export_student(run_of(school), folder, merged=False)
    assert contents(folder) == {"mine.txt": b"mine"}
    (folder / "mine.txt").unlink()
    export_student(run_of(school), folder, merged=False)
    assert "README.md" in contents(folder)


def test_an_export_that_fails_half_way_leaves_nothing(school, tmp_path, monkeypatch):
    def fails(card):
        raise OSError("no room")

    monkeypatch.setattr("gsr_dagster.operations.exporting.student_folder.render_card", fails)
    with pytest.raises(OSError, match="no room"):
        export_student(run_of(school), tmp_path / "new" / "student", merged=False)
    assert list((tmp_path / "new").iterdir()) == []


def test_a_folder_that_another_process_filled_in_the_meantime_stays(school, tmp_path, monkeypatch):
    folder = tmp_path / "new" / "student"

    def meanwhile(card):
        folder.mkdir()
        (folder / "theirs.txt").write_text("theirs")
        return ""

    monkeypatch.setattr("gsr_dagster.operations.exporting.student_folder.render_card", meanwhile)
    with pytest.raises(ExportError, match="is there and not empty"):
        export_student(run_of(school), folder, merged=False)
    assert contents(folder) == {"theirs.txt": b"theirs"}


def test_a_checkpoint_whose_chain_is_broken_is_not_exported(school, tmp_path):
    school.rewrite("training_sets", STUDENT, note="made again")
    with pytest.raises(ArtifactError, match=f"the lineage of {STUDENT}'s checkpoint is broken"):
        export_student(run_of(school), tmp_path / "student", merged=False)
    assert not (tmp_path / "student").exists()


def test_damaged_weights_are_not_exported(school, tmp_path):
    (weights,) = Path(school.store.root).glob("lora_checkpoints/**/adapter_model.safetensors")
    weights.write_bytes(b"damaged")
    with pytest.raises(DamageError, match="damaged"):
        export_student(run_of(school), tmp_path / "student", merged=True)
    assert not (tmp_path / "student").exists()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"k": 3}, "k"),
        ({"prompts": {"refinement": "rsa"}}, "refinement prompt"),
        ({"training_problems": {"worked_examples": []}}, "direct prompt"),
        ({"training_problems": {"students_see_examples": False}}, "direct prompt"),
        ({"students": {"teacher": "llama-tiny"}}, "teacher of refinements, teacher of solutions"),
        ({"students": {"base": "llama-big", "candidates_from": "llama-tiny"}}, "base"),
        ({"students": {"candidates_from": "llama-big"}}, "sampler"),
        ({"training_problems": {"seed": 5}}, "training_problems"),
    ],
)
def test_a_student_that_the_file_says_otherwise_now_is_not_exported(school, tmp_path, change, named):
    written = copy.deepcopy(school.written)
    for section, value in change.items():
        if section == "students":
            written["students"][STUDENT] |= value
        elif section == "training_problems":
            written["training_problems"] |= value
        else:
            written[section] = value
    with pytest.raises(ExportError, match=f"was trained with another {named} than the experiment file has now"):
        export_student(run_of(school, written), tmp_path / "student", merged=False)


def test_settings_that_only_say_how_a_training_is_computed_may_change(school, tmp_path):
    written = copy.deepcopy(school.written)
    written["students"][STUDENT]["training"] = {"rows_at_once": 1, "save_minutes": 1}
    written["benchmarks"]["sums"]["samples"] = 2
    export_student(run_of(school, written), tmp_path / "student", merged=False)
