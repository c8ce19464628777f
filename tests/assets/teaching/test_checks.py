"""The checks of teaching, on a sound experiment that is broken in one place."""

import copy
import math
from pathlib import Path

import pytest

from gsr_dagster.experiment.keys import ArtifactKey
from tests.assets.rewriting import (
    ERROR,
    WARN,
    adapter,
    changed_student,
    every,
    leaked,
    without_first,
    without_refinements_of_all_wrong,
)
from tests.school import STUDENT


@pytest.mark.parametrize(
    ("summary", "name"),
    [
        ({"correct_refinements": 1}, "teacher_yields"),
        ({"correct_solutions": 0}, "teacher_yields"),
        ({"timed_out": 5}, "teacher_graded_in_time"),
    ],
)
def test_a_poor_teacher_and_a_slow_grader_are_warnings(school, summary, name):
    school.rewrite("training_sets", STUDENT, **summary)
    check = school.checks("training_sets")[name]
    assert (check.passed, check.severity) == (False, WARN)
    assert check.description.startswith(f"{next(iter(summary.values()))} of ")


def test_all_wrong_groups_that_teach_nothing_are_a_warning(school):
    school.rewrite("training_sets", STUDENT, without_refinements_of_all_wrong)
    check = school.checks("training_sets")["all_wrong_kept"]
    assert (check.passed, check.severity) == (False, WARN)
    all_wrong = {
        r["prompt_id"] for r in school.store.read(ArtifactKey("teacher_refinements", STUDENT)) if not r["n_correct"]
    }
    assert f"0 of {len(all_wrong)}" in check.description
    assert set(check.metadata["such_as"].value) <= all_wrong


def test_a_mixture_that_is_not_one_to_one_is_an_error(school):
    school.rewrite("training_sets", STUDENT, without_first)
    check = school.checks("training_sets")["mixed_as_wanted"]
    assert (check.passed, check.severity) == (False, ERROR)


def test_rows_that_the_student_reads_only_in_part_are_a_warning(finished_school, tmp_path):
    short = changed_student(finished_school, training={"max_length": 60})
    school = finished_school.copy(tmp_path / "artifacts", **short)
    check = school.checks("training_sets")["few_overlong"]
    assert (check.passed, check.severity) == (False, WARN)
    assert (
        "(100.0%) are longer than the 60 tokens that the student reads: at most 0% is allowed (checks.most_overlong)"
        in check.description
    )


def test_a_gold_in_a_prompt_is_an_error_and_the_row_is_shown(school):
    row = school.store.read(ArtifactKey("training_sets", STUDENT))[0]
    school.rewrite("training_sets", STUDENT, leaked)
    check = school.checks("training_sets")["no_gold_in_prompts"]
    assert (check.passed, check.severity) == (False, ERROR)
    assert check.description.endswith(
        "1 of these the gold: none may; look at such_as, and materialize training_sets[llama-student] again"
    )
    assert check.description.startswith("1 of 48 prompts hold text beside their instruction, problem and candidates")
    assert "The gold is " in check.metadata["such_as"].value[row["row_id"]]


def test_a_teacher_that_gains_no_more_than_the_base_is_a_warning(school):
    key = ArtifactKey("base/gap_reports", "sums|llama-big")
    summary = school.store.existing(key).summary
    school.rewrite(key.asset, key.partition, refinement_gap=summary["refinement_gap"] - 2)
    check = school.checks("teacher_refinements")["teacher_gap_leads"]
    assert (check.passed, check.severity) == (False, WARN)
    assert check.description.startswith("llama-big − llama-tiny over 1 benchmark, −")
    assert "in the mean: not above 0 (checks.least_gap_lead); choose a teacher" in check.description
    (Path(school.store.root) / key.path / "manifest.json").unlink()
    check = school.checks("teacher_refinements")["teacher_gap_leads"]
    assert not check.passed
    assert check.description == (
        "not measured, llama-big − llama-tiny in Refinement Gap, 1 of 2 gap reports is missing: "
        "above 0 (checks.least_gap_lead) is wanted; materialize sums|llama-big of base/gap_reports"
    )


def test_a_teacher_that_is_its_own_student_is_said_to_be(finished_school, tmp_path):
    school = finished_school.copy(tmp_path / "artifacts", **changed_student(finished_school, teacher="llama-tiny"))
    school.rewrite("teacher_refinements", STUDENT)
    check = school.checks("teacher_refinements")["teacher_gap_leads"]
    assert (check.passed, check.severity) == (False, WARN)
    assert "student's own base" in check.description


def test_no_gap_is_asked_of_a_teacher_that_is_not_evaluated(finished_school, tmp_path):
    families = copy.deepcopy(finished_school.written["families"])
    families["llama"]["big"]["evaluate"] = False
    school = finished_school.copy(tmp_path / "artifacts", families=families)
    school.rewrite("teacher_refinements", STUDENT)
    check = school.checks("teacher_refinements")["teacher_gap_leads"]
    assert check.passed
    assert check.description == "llama-big is not evaluated (evaluate: false): no gap is asked of it"


@pytest.mark.parametrize(("a", "b"), [(1, 0), (0, 1)])
def test_an_adapter_that_changes_nothing_is_an_error(school, a, b):
    adapter(school, a, b)
    checks = school.checks("lora_checkpoints")
    assert (checks["differs_from_base"].passed, checks["differs_from_base"].severity) == (False, ERROR)
    assert "the student is its base" in checks["differs_from_base"].description
    assert checks["training_finite"].passed


def test_weights_and_losses_that_are_not_finite_are_an_error(school):
    adapter(school, 1, math.nan)
    check = school.checks("lora_checkpoints")["training_finite"]
    assert (check.passed, check.severity) == (False, ERROR)
    assert check.metadata["tensors"].value == ["q.lora_B.weight"]


def test_a_loss_that_is_not_finite_is_an_error_and_one_that_rose_a_warning(school):
    school.rewrite("lora_checkpoints", STUDENT, lambda rows: [{**r, "loss": r["step"] * 1.0} for r in rows])
    check = school.checks("lora_checkpoints")["loss_fell"]
    assert (check.passed, check.severity) == (False, WARN)
    assert (
        "the mean loss of the first 2 of 4 steps is 1.5, of the last 2 3.5: the last should be below the first; train longer"
        in check.description
    )
    school.rewrite("lora_checkpoints", STUDENT, every(2, loss=math.inf))
    checks = school.checks("lora_checkpoints")
    assert checks["training_finite"].metadata["steps"].value == [1, 2]
    assert not checks["training_finite"].passed


def test_a_loss_is_judged_by_the_first_and_last_fifth_of_its_steps(school):
    losses = [3.0] * 4 + [1.0] * 12 + [2.0, 2.0, 2.0, 3.5]  # the last step alone, and the second half, say otherwise
    history = [{"step": n, "epoch": 1.0, "loss": loss, "learning_rate": 1e-4} for n, loss in enumerate(losses, 1)]
    school.rewrite("lora_checkpoints", STUDENT, lambda rows: history)
    check = school.checks("lora_checkpoints")["loss_fell"]
    assert check.passed
    assert "first 4 of 20 steps is 3, of the last 4 2.375" in check.description


def test_a_chain_that_is_broken_far_up_is_an_error(school):
    school.rewrite("training_candidates", STUDENT, without_first)
    check = school.checks("lora_checkpoints")["lineage_intact"]
    assert (check.passed, check.severity) == (False, ERROR)
    assert "training_candidates[llama-student]: BROKEN" in check.description
