"""What is drawn for a student, and by whom: a refiner and a solver of their own."""

import copy
from pathlib import Path

import pytest

from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.experiment.keys import ArtifactKey
from gsr_dagster.method.rows import Row
from tests import school
from tests.running import recipe_of
from tests.school import STUDENT, School


@pytest.fixture
def taught(tmp_path: Path, monkeypatch) -> "Taught":
    school.play(monkeypatch)
    return Taught(tmp_path)


class Taught:
    """The school with its student changed, whose teaching alone is run."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.document = school.document(folder)

    def with_student(self, **changes) -> School:
        document = copy.deepcopy(self.document)
        document["students"][STUDENT] |= changes
        made = School(document, self.folder / "artifacts")
        made.run_all()
        return made


def rows(made: School, asset: str) -> list[Row]:
    return made.store.read(ArtifactKey(asset, STUDENT))


def test_a_refiner_and_a_solver_write_each_their_own_rows(taught):
    made = taught.with_student(teacher={"refinements": "llama-big", "solutions": "llama-tiny"})
    assert {row["refinement_id"].split("/")[0] for row in rows(made, "teacher_refinements")} == {"llama-big"}
    assert {row["solution_id"].split("/")[0] for row in rows(made, "teacher_solutions")} == {"llama-tiny"}
    of_kind = {
        kind: {r["teacher_sample_id"].split("/")[0] for r in rows(made, "training_sets") if r["kind"] == kind}
        for kind in ("refinement", "direct")
    }
    assert of_kind == {"refinement": {"llama-big"}, "direct": {"llama-tiny"}}


def test_a_plain_name_is_both_and_has_the_fingerprints_of_before(taught, finished_school):
    both = copy.deepcopy(finished_school.written)
    both["students"][STUDENT]["teacher"] = {"refinements": "llama-big", "solutions": "llama-big"}
    for asset in ("teacher_refinements", "teacher_solutions", "training_sets", "lora_checkpoints"):
        key = ArtifactKey(asset, STUDENT)
        found = {
            recipe_of(experiment, finished_school.store, key).fingerprint
            for experiment in (finished_school.experiment, Experiment.model_validate(both))
        }
        assert len(found) == 1
