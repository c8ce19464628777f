"""A student against its base: an error or a warning only where the whole interval says so."""

import copy
import re
from pathlib import Path

import pytest

from gsr_dagster.experiment.keys import ArtifactKey
from gsr_dagster.method.rows import Row
from tests.assets.rewriting import BASE, ERROR, TRAINED, WARN, every


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
    assert re.match(r"llama-student − llama-tiny over \d+ problems, −[\d.]+ points of pass@1 \[−", check.description)
    assert "significantly below 0 (checks.most_pass_at_1_lost); train with fewer steps" in check.description


def gap_of_base(trained: list[Row], base: list[Row]) -> list[Row]:
    """Return the student's groups with what voting and refining made of the base's."""
    of_group = {row["group_id"].partition("/")[2]: row for row in base}
    return [
        {**row, **{n: of_group[row["group_id"].partition("/")[2]][n] for n in ("refined", "vote")}} for row in trained
    ]


def gap_lost(trained: list[Row], base: list[Row]) -> list[Row]:
    return [{**row, "refined": False, "vote": 1.0} for row in trained]


@pytest.mark.parametrize(
    ("change", "severity", "says"),
    [
        (
            gap_of_base,
            WARN,
            "+0.0 points of Refinement Gap [+0.0, +0.0]: not significantly above 0 (checks.least_gap_gained); "
            "more problems or groups narrow the interval",
        ),
        (
            gap_lost,
            ERROR,
            ": significantly below 0, and not above 0 (checks.least_gap_gained); "
            "look at the checks of its training set and its checkpoint",
        ),
    ],
)
def test_a_gap_that_did_not_grow_is_a_warning_and_one_that_shrank_an_error(school, change, severity, says):
    base = school.store.read(ArtifactKey("base/gap_reports", BASE))
    school.rewrite("student/gap_reports", TRAINED, lambda rows: change(rows, base))
    check = school.checks("student/gap_reports", TRAINED)["gap_gained"]
    assert (check.passed, check.severity) == (False, severity)
    assert check.description.endswith(says)


def test_out_of_distribution_a_gap_need_not_grow_and_must_not_shrink(school, tmp_path):
    benchmarks = copy.deepcopy(school.written["benchmarks"])
    benchmarks["sums"]["out_of_distribution"] = True
    elsewhere = school.copy(tmp_path / "elsewhere", benchmarks=benchmarks)
    base = elsewhere.store.read(ArtifactKey("base/gap_reports", BASE))
    elsewhere.rewrite("student/gap_reports", TRAINED, lambda rows: gap_of_base(rows, base))
    check = elsewhere.checks("student/gap_reports", TRAINED)["gap_gained"]
    assert check.passed
    assert check.description.endswith("not significantly below 0, and no more is asked out of distribution")
    elsewhere.rewrite("student/gap_reports", TRAINED, lambda rows: gap_lost(rows, base))
    check = elsewhere.checks("student/gap_reports", TRAINED)["gap_gained"]
    assert (check.passed, check.severity) == (False, ERROR)


def test_a_student_whose_base_was_not_evaluated_is_not_called_better(school):
    for asset in ("base/graded_candidates", "base/gap_reports"):
        (Path(school.store.root) / ArtifactKey(asset, BASE).path / "manifest.json").unlink()
    checks = school.checks("student/gap_reports", TRAINED)
    for name in ("pass_at_1_held", "gap_gained"):
        assert not checks[name].passed
        assert checks[name].description.startswith("not measured, llama-student − llama-tiny in ")
        assert "1 of 2 artifacts is missing: " in checks[name].description
        assert "; materialize base/" in checks[name].description
