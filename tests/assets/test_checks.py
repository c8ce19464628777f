"""Every check passing on a sound experiment, and failing on one that is broken in one place."""

import pytest

from assets.evaluation.checks import AGAINST_BASE, EVALUATION
from assets.teaching.checks import TEACHING
from gsr_dagster.experiment.keys import ArtifactKey
from gsr_dagster.method.rows import Row
from tests.assets.rewriting import BASE, ERROR, LANES, TRAINED, WARN, changed_student, every, same_text, without_first
from tests.school import STUDENT


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
        ("base/candidate_pools", BASE, every(10, finish_reason="length"), "few_truncated", "10 of 96 samples (10.4%) are cut off"),
        ("base/candidate_pools", BASE, every(10, finish_reason="MAX_TOKENS"), "few_truncated", "10 of 96 samples (10.4%)"),
        ("teacher_solutions", STUDENT, every(5, finish_reason="length"), "few_truncated", "raise max_new_tokens"),
        ("base/candidate_pools", BASE, every(2, finish_reason="unasked", text=""), "few_unasked", "2 of 96 samples (2.1%)"),
        ("teacher_refinements", STUDENT, every(1, finish_reason="unasked"), "few_unasked", "or lower candidate_tokens"),
        ("training_candidates", STUDENT, same_text, "few_repeated", "40 of 60 samples (66.7%) have the"),
        ("base/graded_candidates", BASE, every(1, verdict="gold unparseable"), "golds_readable", "1 of 24 problems are not"),
        ("base/graded_candidates", BASE, every(20, verdict="no answer"), "few_without_answer", "20 of 96 samples (20.8%)"),
        ("student/gap_reports", TRAINED, every(10, verdict="no answer"), "few_without_answer", "10 of 48 samples (20.8%)"),
        ("base/graded_candidates", BASE, every(1, verdict="timed out"), "few_timed_out", "1 of 96 samples (1.0%)"),
        ("student/gap_reports", TRAINED, every(1, verdict="comparison failed"), "few_timed_out", "1 of 48 samples (2.1%)"),
        ("base/graded_candidates", BASE, every(20, verdict="unreadable"), "few_without_answer", "20 of 96 samples (20.8%)"),
    ],
)  # fmt: skip
def test_poor_samples_are_a_warning_that_says_how_many(school, asset, partition, change, name, says):
    school.rewrite(asset, partition, change)
    check = school.checks(asset, partition)[name]
    assert (check.passed, check.severity) == (False, WARN)
    assert says in check.description


def test_what_was_not_asked_for_is_no_repetition_and_no_thinking_that_never_ends(finished_school, tmp_path):
    models = finished_school.written["families"]["llama"]
    thinking = {"llama": {name: {**model, "thinking_end": "</think>"} for name, model in models.items()}}
    school = finished_school.copy(tmp_path / "artifacts", families=thinking)
    school.rewrite("base/candidate_pools", BASE, every(96, finish_reason="unasked", text=""))
    checks = school.checks("base/candidate_pools", BASE)
    failed = {name for name, check in checks.items() if not check.passed}
    assert failed == {"few_unasked"}


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
    assert "(100.0%) have thinking that never ends: at most 5% is allowed (checks.most_unclosed)" in check.description
    school.rewrite(asset, partition, with_thinking)
    assert school.checks(asset, partition)["thinking_closed"].passed


def test_greedy_samples_may_repeat(finished_school, tmp_path):
    greedy = {"samples": 3, "temperature": 0, "max_new_tokens": 64}
    school = finished_school.copy(tmp_path / "artifacts", **changed_student(finished_school, candidates=greedy))
    school.rewrite("training_candidates", STUDENT, same_text)
    check = school.checks("training_candidates")["few_repeated"]
    assert check.passed
    assert check.description.startswith(
        "40 of 60 samples (66.7%) have the text of an earlier one of their prompt: all may"
    )


def test_a_line_of_the_experiment_file_decides(finished_school, tmp_path):
    strict = finished_school.copy(tmp_path / "artifacts", checks={"least_teacher_yield": 1.0, "least_gap_lead": 1.0})
    yields = strict.checks("training_sets")["teacher_yields"]
    assert (yields.passed, yields.severity) == (False, WARN)
    assert "at least 100% is wanted (checks.least_teacher_yield)" in yields.description
    assert not strict.checks("teacher_refinements")["teacher_gap_leads"].passed


@pytest.mark.parametrize(
    ("summary", "says"),
    [
        ({"left_out": {"empty answer": 2}}, "2 of the source left out (2 for empty answer)"),
        ({"unreadable_golds": ["sums/3-11"]}, "1 with a gold that cannot be read and so not scored"),
    ],
)
def test_problems_that_are_left_out_or_cannot_be_scored_are_a_warning(school, summary, says):
    for asset, partition, name in (
        ("benchmark_problems", "sums", "problems_sound"),
        ("training_problems", "", "training_problems_sound"),
    ):
        school.rewrite(asset, partition, **summary)
        check = school.checks(asset, partition)[name]
        assert (check.passed, check.severity) == (False, WARN)
        assert says in check.description
        assert check.description.endswith(
            ": all should be there, none left out, and every gold readable; mend them in the source"
        )


def test_a_count_of_problems_that_is_not_the_one_asked_for_is_an_error(finished_school, tmp_path):
    fewer = {"sums": {**finished_school.written["benchmarks"]["sums"], "problems": 20}}
    school = finished_school.copy(tmp_path / "artifacts", benchmarks=fewer)
    assert school.run("benchmark_problems", "sums").success
    school.rewrite("benchmark_problems", "sums", without_first)
    check = school.checks("benchmark_problems", "sums")["problems_sound"]
    assert (check.passed, check.severity) == (False, ERROR)
    assert check.description == (
        "19 of 20 problems asked for, 0 of the source left out, 0 with a gold that cannot be read and so not scored: "
        "all should be there, none left out, and every gold readable; "
        "set `problems` to what there is, or name a source that has as many"
    )
