"""Every check passing on a sound experiment, and failing on one that is broken in one place."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import numpy as np
import pytest
from safetensors.numpy import save_file

from assets.evaluation.checks import AGAINST_BASE, EVALUATION
from assets.teaching.checks import TEACHING
from gsr_dagster.experiment.keys import ArtifactKey
from gsr_dagster.method.rows import Row
from tests.running import recipe_of
from tests.school import STUDENT, School

BASE, TRAINED = "sums|llama-tiny", f"sums|{STUDENT}"
LANES = {"base": BASE, "student": TRAINED}
WARN, ERROR = dg.AssetCheckSeverity.WARN, dg.AssetCheckSeverity.ERROR


@pytest.fixture
def school(finished_school: School, tmp_path: Path) -> School:
    return finished_school.copy(tmp_path / "artifacts")


def every(count: int, **values: object) -> Callable[[list[Row]], list[Row]]:
    """Return what gives the first rows these values."""
    return lambda rows: [{**row, **values} if number < count else row for number, row in enumerate(rows)]


def changed_student(school: School, **changes: object) -> dict[str, dict]:
    """Return the part of the experiment file with the student changed."""
    return {"students": {STUDENT: {**school.written["students"][STUDENT], **changes}}}


def without_first(rows: list[Row]) -> list[Row]:
    return rows[1:]


def same_text(rows: list[Row]) -> list[Row]:
    return [{**row, "text": f"The answer to {row['prompt_id']} is \\boxed{{1}}."} for row in rows]


def leaked(rows: list[Row]) -> list[Row]:
    chat = json.loads(rows[0]["messages"])
    left, right = map(int, rows[0]["problem_id"].removeprefix("training/").split("-"))
    chat[-1]["content"] += f"\n\nThe gold is {left + right}."
    return [{**rows[0], "messages": json.dumps(chat)}, *rows[1:]]


def without_refinements_of_all_wrong(rows: list[Row]) -> list[Row]:
    return [row for row in rows if row["kind"] == "direct"]


def test_a_sound_experiment_passes_every_check(finished_school):
    asked = [(f"{lane}/{asset}", partition) for lane, partition in LANES.items() for asset in EVALUATION]
    asked += [(asset, STUDENT) for asset in TEACHING] + [("benchmark_problems", "sums"), ("training_problems", "")]
    answers = {(a, name): check for a, p in asked for name, check in finished_school.checks(a, p).items()}
    assert {name: check.description for name, check in answers.items() if not check.passed} == {}
    questions = 2 * sum(map(len, EVALUATION.values())) + len(AGAINST_BASE) + sum(map(len, TEACHING.values()))
    assert len(answers) == questions + 2
    assert all(check.partition for (asset, _), check in answers.items() if asset != "training_problems")


SAMPLED = [
    ("base/candidate_pools", BASE),
    ("student/candidate_pools", TRAINED),
    ("student/self_refinements", TRAINED),
    ("training_candidates", STUDENT),
    ("teacher_refinements", STUDENT),
    ("teacher_solutions", STUDENT),
]


@pytest.mark.parametrize(("asset", "partition"), SAMPLED)
def test_a_missing_sample_is_an_error_and_named(school, asset, partition):
    first = school.store.read(ArtifactKey(asset, partition))[0]
    school.rewrite(asset, partition, without_first)
    check = school.checks(asset, partition)["samples_complete"]
    assert (check.passed, check.severity) == (False, ERROR)
    assert "1 of " in check.description
    (missing,) = check.metadata["such_as"].value
    assert missing in first.values()


@pytest.mark.parametrize(
    ("asset", "partition", "change", "name", "says"),
    [
        ("base/candidate_pools", BASE, every(10, finish_reason="length"), "few_truncated", "10 of 96 (10.4%) cut off"),
        ("teacher_solutions", STUDENT, every(5, finish_reason="length"), "few_truncated", "raise max_new_tokens"),
        ("training_candidates", STUDENT, same_text, "few_repeated", "40 of 60 (66.7%) with the text of an earlier one"),
        ("base/graded_candidates", BASE, every(1, verdict="gold unparseable"), "golds_readable", "1 problems are not"),
        ("base/graded_candidates", BASE, every(20, verdict="no answer"), "few_without_answer", "20 of 96 (20.8%)"),
        ("student/gap_reports", TRAINED, every(10, verdict="no answer"), "few_without_answer", "10 of 48 (20.8%)"),
        ("base/graded_candidates", BASE, every(1, verdict="timed out"), "few_timed_out", "1 of 96 (1.0%) that timed"),
        ("student/gap_reports", TRAINED, every(1, verdict="timed out"), "few_timed_out", "1 of 48 (2.1%)"),
    ],
)  # fmt: skip
def test_poor_samples_are_a_warning_that_says_how_many(school, asset, partition, change, name, says):
    school.rewrite(asset, partition, change)
    check = school.checks(asset, partition)[name]
    assert (check.passed, check.severity) == (False, WARN)
    assert says in check.description


def with_thinking(rows: list[Row]) -> list[Row]:
    return [{**row, "text": f"Hm.</think>{row['text']}"} for row in rows]


@pytest.mark.parametrize(("asset", "partition"), SAMPLED)
def test_thinking_that_never_ends_is_a_warning_for_a_model_that_thinks(finished_school, tmp_path, asset, partition):
    models = finished_school.written["families"]["llama"]
    thinking = {"llama": {name: {**model, "thinking_end": "</think>"} for name, model in models.items()}}
    school = finished_school.copy(tmp_path / "artifacts", families=thinking)
    school.rewrite(asset, partition)
    check = school.checks(asset, partition)["thinking_closed"]
    assert (check.passed, check.severity) == (False, WARN)
    assert "(100.0%) with thinking that never ends" in check.description
    school.rewrite(asset, partition, with_thinking)
    assert school.checks(asset, partition)["thinking_closed"].passed


def test_greedy_samples_may_repeat(finished_school, tmp_path):
    greedy = {"samples": 3, "temperature": 0, "max_new_tokens": 64}
    school = finished_school.copy(tmp_path / "artifacts", **changed_student(finished_school, candidates=greedy))
    school.rewrite("training_candidates", STUDENT, same_text)
    check = school.checks("training_candidates")["few_repeated"]
    assert check.passed
    assert "greedy" in check.description


def test_a_line_of_the_experiment_file_decides(finished_school, tmp_path):
    strict = finished_school.copy(tmp_path / "artifacts", checks={"least_teacher_yield": 1.0, "least_gap_lead": 1.0})
    yields = strict.checks("training_sets")["teacher_yields"]
    assert (yields.passed, yields.severity) == (False, WARN)
    assert "checks.least_teacher_yield is 100.0%" in yields.description
    assert not strict.checks("teacher_refinements")["teacher_gap_leads"].passed


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
        r["problem_id"] for r in school.store.read(ArtifactKey("teacher_refinements", STUDENT)) if not r["n_correct"]
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
    assert "(100.0%) longer than 60 tokens" in check.description


def test_a_gold_in_a_prompt_is_an_error_and_the_row_is_shown(school):
    row = school.store.read(ArtifactKey("training_sets", STUDENT))[0]
    school.rewrite("training_sets", STUDENT, leaked)
    check = school.checks("training_sets")["no_gold_in_prompts"]
    assert (check.passed, check.severity) == (False, ERROR)
    assert check.description == "1 prompts hold text that nothing accounts for, 1 of these the gold"
    assert "The gold is " in check.metadata["such_as"].value[row["row_id"]]


def test_a_teacher_that_gains_no_more_than_the_base_is_a_warning(school):
    key = ArtifactKey("base/gap_reports", "sums|llama-big")
    summary = school.store.existing(key).summary
    school.rewrite(key.asset, key.partition, refinement_gap=summary["refinement_gap"] - 2)
    check = school.checks("teacher_refinements")["teacher_gap_leads"]
    assert (check.passed, check.severity) == (False, WARN)
    assert "points from the base's" in check.description
    (Path(school.store.root) / key.path / "manifest.json").unlink()
    check = school.checks("teacher_refinements")["teacher_gap_leads"]
    assert not check.passed
    assert "not measured: sums|llama-big of base/gap_reports" in check.description


def test_a_teacher_that_is_its_own_student_is_said_to_be(finished_school, tmp_path):
    school = finished_school.copy(tmp_path / "artifacts", **changed_student(finished_school, teacher="llama-tiny"))
    school.rewrite("teacher_refinements", STUDENT)
    check = school.checks("teacher_refinements")["teacher_gap_leads"]
    assert (check.passed, check.severity) == (False, WARN)
    assert "student's own base" in check.description


def adapter(school: School, a: float, b: float) -> None:
    """Publish the checkpoint again with an adapter of these values."""
    key = ArtifactKey("lora_checkpoints", STUDENT)
    recipe, before = recipe_of(school.experiment, school.store, key), school.store.existing(key)
    folder = Path(school.store.root).parent / "adapter"
    folder.mkdir()
    parts = {"q.lora_A.weight": np.full((2, 4), a, np.float32), "q.lora_B.weight": np.full((4, 2), b, np.float32)}
    save_file(parts, folder / "adapter_model.safetensors")
    files = school.store.put_files(recipe, folder)
    school.store.publish(recipe, before.shards, before.summary, files, replaced=before)


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
    assert "1.5, then 3.5" in check.description
    school.rewrite("lora_checkpoints", STUDENT, every(2, loss=math.inf))
    checks = school.checks("lora_checkpoints")
    assert checks["training_finite"].metadata["steps"].value == [1, 2]
    assert not checks["training_finite"].passed


def test_a_chain_that_is_broken_far_up_is_an_error(school):
    school.rewrite("training_candidates", STUDENT, without_first)
    check = school.checks("lora_checkpoints")["lineage_intact"]
    assert (check.passed, check.severity) == (False, ERROR)
    assert "training_candidates[llama-student]: BROKEN" in check.description


def as_base_but_one(trained: list[Row], base: list[Row]) -> list[Row]:
    """Return the student's rows with the base's verdicts, one correct one less."""
    right = {(row["problem_id"], row["sample_index"]) for row in base if row["correct"]}
    right.remove(min(right))
    return [{**row, "correct": (row["problem_id"], row["sample_index"]) in right} for row in trained]


def test_a_student_is_worse_only_where_the_whole_interval_says_so(school):
    base = school.store.read(ArtifactKey("base/graded_candidates", BASE))
    school.rewrite("student/graded_candidates", TRAINED, lambda rows: as_base_but_one(rows, base))
    check = school.checks("student/gap_reports", TRAINED)["pass_at_1_held"]
    assert check.metadata["difference"].value < 0
    assert check.passed
    school.rewrite("student/graded_candidates", TRAINED, every(96, correct=False))
    check = school.checks("student/gap_reports", TRAINED)["pass_at_1_held"]
    assert (check.passed, check.severity) == (False, ERROR)
    assert "points of pass@1" in check.description


def gap_of_base(trained: list[Row], base: list[Row]) -> list[Row]:
    """Return the student's groups with what voting and refining made of the base's."""
    of_group = {row["group_id"].partition("/")[2]: row for row in base}
    return [
        {**row, **{n: of_group[row["group_id"].partition("/")[2]][n] for n in ("refined", "vote")}} for row in trained
    ]


def gap_lost(trained: list[Row], base: list[Row]) -> list[Row]:
    return [{**row, "refined": False, "vote": 1.0} for row in trained]


@pytest.mark.parametrize(("change", "severity"), [(gap_of_base, WARN), (gap_lost, ERROR)])
def test_a_gap_that_did_not_grow_is_a_warning_and_one_that_shrank_an_error(school, change, severity):
    base = school.store.read(ArtifactKey("base/gap_reports", BASE))
    school.rewrite("student/gap_reports", TRAINED, lambda rows: change(rows, base))
    check = school.checks("student/gap_reports", TRAINED)["gap_gained"]
    assert (check.passed, check.severity) == (False, severity)
    assert "points of Refinement Gap" in check.description


def test_a_student_whose_base_was_not_evaluated_is_not_called_better(school):
    for asset in ("base/graded_candidates", "base/gap_reports"):
        (Path(school.store.root) / ArtifactKey(asset, BASE).path / "manifest.json").unlink()
    checks = school.checks("student/gap_reports", TRAINED)
    for name in ("pass_at_1_held", "gap_gained"):
        assert not checks[name].passed
        assert "is missing, materialize it" in checks[name].description


@pytest.mark.parametrize(
    ("summary", "says"),
    [
        ({"left_out": {"empty answer": 2}}, "2 of the source were left out"),
        ({"unreadable_golds": ["sums/3-11"]}, "1 have a gold that cannot be read, and are not scored"),
    ],
)
def test_problems_that_are_left_out_or_cannot_be_scored_are_a_warning(school, summary, says):
    for asset, partition, name in (
        ("benchmark_problems", "sums", "problems_sound"),
        ("training_problems", "", "training_problems_sound"),
    ):
        school.rewrite(asset, partition, **summary)
        check = school.checks(asset, partition)[name]
        assert (check.passed, check.severity, check.description) == (False, WARN, says)


def test_a_count_of_problems_that_is_not_the_one_asked_for_is_an_error(finished_school, tmp_path):
    fewer = {"sums": {**finished_school.written["benchmarks"]["sums"], "problems": 20}}
    school = finished_school.copy(tmp_path / "artifacts", benchmarks=fewer)
    assert school.run("benchmark_problems", "sums").success
    school.rewrite("benchmark_problems", "sums", without_first)
    check = school.checks("benchmark_problems", "sums")["problems_sound"]
    assert (check.passed, check.severity) == (False, ERROR)
    assert check.description == "there are 19 problems, not 20"
