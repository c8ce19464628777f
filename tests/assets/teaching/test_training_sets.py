import copy

from gsr_dagster.experiment.keys import ArtifactKey
from tests import school
from tests.school import STUDENT

SETS = ArtifactKey("training_sets", STUDENT)


def test_a_training_set_holds_what_its_student_asks_for_of_samples_that_it_shares(
    finished_school, tmp_path, monkeypatch
):
    school.play(monkeypatch)
    students = copy.deepcopy(finished_school.written["students"])
    students[STUDENT]["refinements"]["samples"] = 1
    fewer = finished_school.copy(tmp_path / "store", students=students)
    before = fewer.store.existing(SETS).summary
    assert fewer.run("training_sets", STUDENT).success
    after = fewer.store.existing(SETS).summary
    assert after["teacher_refinements"] * 3 == before["teacher_refinements"]
    assert after["teacher_solutions"] == before["teacher_solutions"]
    shown = {row["teacher_sample_id"] for row in fewer.store.read(SETS) if row["kind"] == "refinement"}
    assert shown
    assert all(name.endswith("/g0/0") for name in shown)
