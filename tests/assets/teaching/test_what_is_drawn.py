"""What is drawn for a student, and by whom: a refiner and a solver of their own."""

import copy
from pathlib import Path

import pytest

from gsr_dagster.commands.plan.steps import plan
from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.experiment.keys import ArtifactKey
from gsr_dagster.method.rows import Row
from gsr_dagster.operations.lanes import lanes
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


@pytest.mark.parametrize(
    ("kind", "drawn"),
    [
        ("direct", {"training_candidates": 0, "teacher_refinements": 0, "teacher_solutions": 40}),
        ("refinement", {"training_candidates": 60, "teacher_refinements": 60, "teacher_solutions": 0}),
        ("hybrid", {"training_candidates": 60, "teacher_refinements": 60, "teacher_solutions": 40}),
    ],
)
def test_what_a_student_does_not_learn_from_is_not_drawn(taught, kind, drawn):
    made = taught.with_student(rows=kind)
    assert {asset: made.store.existing(ArtifactKey(asset, STUDENT)).rows for asset in drawn} == drawn
    kinds = {row["kind"] for row in rows(made, "training_sets")}
    assert kinds == ({"direct", "refinement"} if kind == "hybrid" else {kind})
    failed = {
        name
        for asset in (*drawn, "training_sets", "lora_checkpoints")
        for name, check in made.checks(asset).items()
        if not check.passed
    }
    assert failed <= {"all_wrong_kept", "teacher_gap_leads"}
    planned = {step.what: step.samples for step in plan(made.experiment) if step.what in drawn}
    assert planned == {asset: samples for asset, samples in drawn.items() if samples}
    assert lanes_are_current(made)


def test_a_student_that_drew_more_before_keeps_it_and_shares_nothing_new(taught):
    hybrid = taught.with_student()
    before = hybrid.store.existing(ArtifactKey("teacher_refinements", STUDENT)).content
    direct = taught.with_student(rows="direct")
    assert direct.store.existing(ArtifactKey("teacher_refinements", STUDENT)).content == before
    assert direct.store.existing(ArtifactKey("training_sets", STUDENT)).summary["teacher_refinements"] == 0


def lanes_are_current(made: School) -> bool:
    return not any(
        lane.stale(made.store, partition) for lane in lanes(made.experiment) for partition in lane.partitions
    )


def test_several_groups_of_a_problem_are_refined_each(taught):
    made = taught.with_student(groups=2, candidates={"samples": 5, **school.ROLLOUT})
    refinements = rows(made, "teacher_refinements")
    by_group = {row["prompt_id"]: row["candidate_ids"] for row in refinements}
    assert len(refinements) == len(school.TRAINING) * 2 * 3
    for problem in {row["problem_id"] for row in refinements}:
        first, second = (by_group[f"llama-big/{problem}/g{number}"] for number in range(2))
        assert len(first) == len(second) == 2
        assert not set(first) & set(second)
    checks = made.checks("teacher_refinements")
    assert checks["samples_complete"].passed
    assert {row["teacher_sample_id"].split("/")[-2] for row in rows(made, "training_sets") if row["candidate_ids"]} == {
        "g0",
        "g1",
    }
    steps = {step.what: step.prompts for step in plan(made.experiment)}
    assert steps["teacher_refinements"] == len(school.TRAINING) * 2


def test_the_share_of_hard_groups_is_reached_and_counted(taught):
    key = ArtifactKey("training_sets", STUDENT)
    before = taught.with_student(rows="refinement").store.existing(key).summary
    chosen = taught.with_student(rows="refinement", hard_share=0.9, rows_a_problem=2, identical_rows="once")
    after = chosen.store.existing(key).summary
    assert "hard_rows" not in before
    assert after["left_out_identical"] == 0
    assert after["left_out_of_a_problem"] > 0
    assert after["left_out_easy"] > 0
    assert after["hard_rows"] >= 0.9 * after["refinement_rows"]
    assert (
        after["refinement_rows"] == after["kept_refinements"] - after["left_out_of_a_problem"] - after["left_out_easy"]
    )
    n_correct = {row["refinement_id"]: row["n_correct"] for row in rows(chosen, "teacher_refinements")}
    hard = sum(n_correct[row["teacher_sample_id"]] == 0 for row in rows(chosen, "training_sets"))
    assert hard == after["hard_rows"]  # of two candidates one right is a tie
