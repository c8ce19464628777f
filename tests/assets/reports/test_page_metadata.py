"""What the page shows of a gap, of the students and of the models, without a click."""

import dataclasses
from pathlib import Path

import dagster as dg
from hypothesis import given
from hypothesis import strategies as st

from assets.materializing import gap_in_points
from assets.reports.collecting import reported_gaps
from assets.reports.shown_first import shown_models
from gsr_dagster.experiment.keys import ArtifactKey
from tests.assets.rewriting import TRAINED


def shown(school, asset: str, partition: str = "") -> dict[str, dg.MetadataValue]:
    """Return the metadata of an artifact that is made anew."""
    (Path(school.store.root) / ArtifactKey(asset, partition).path / "manifest.json").unlink()
    (made,) = school.run(asset, partition).get_asset_materialization_events()
    return made.materialization.metadata


def test_a_gap_report_shows_its_gap_in_points_with_its_interval(school):
    said = {name: value.value for name, value in shown(school, "student/gap_reports", TRAINED).items()}
    interval = school.store.existing(ArtifactKey("student/gap_reports", TRAINED)).summary["intervals"]["refinement_gap"]
    assert said["gap_low"] <= said["gap"] <= said["gap_high"]
    assert said["gap_low"] == round(100 * interval["low"], 1)
    assert said["significant"] == (interval["low"] > 0 or interval["high"] < 0)


@given(st.tuples(*[st.floats(-1, 1)] * 3).map(sorted))
def test_the_flag_says_whether_the_interval_is_clear_of_zero(bounds):
    low, gap, high = bounds
    interval = {"estimate": gap, "low": low, "high": high, "standard_error": 0.0}
    said = gap_in_points({"intervals": {"refinement_gap": interval}})
    assert said["significant"] == (low > 0 or high < 0)
    assert "-0.0" not in map(str, said.values())


def test_what_nobody_refined_shows_no_gap():
    assert gap_in_points({"intervals": {"pass_at_1": {}}, "refinement_gap": None}) == gap_in_points({}) == {}


def test_the_comparison_opens_with_a_table_and_a_picture_that_need_no_click(school):
    said = shown(school, "student_comparison")
    own = [name for name in said if name not in ("dagster/row_count", "seconds")]
    assert own[:2] == ["students", "gap_minus_base"]
    assert said["gap_minus_base"].value.startswith("![intervals](data:image/svg+xml;base64,")
    assert len(said["gap_minus_base"].value) < 1000
    table = said["students"].value
    assert len(table) < 1000, "the page hides longer Markdown behind a button"
    assert "| sums, llama-student |" in table
    assert isinstance(said["report_file"], dg.PathMetadataValue)


def opens_with_the_models(said: dict[str, dg.MetadataValue]) -> None:
    assert [name for name in said if name not in ("dagster/row_count", "seconds")][:2] == ["models", "gap_of_models"]
    assert "| sums, llama-tiny |" in said["models"].value
    assert said["gap_of_models"].value.startswith("![intervals](data:image/svg+xml;base64,")


def test_without_students_the_comparison_opens_with_the_models(school, tmp_path):
    alone = school.copy(tmp_path / "alone", students={}, training_problems=None)
    alone.run("refinement_gap_scaling", "")
    opens_with_the_models(shown(alone, "student_comparison"))


def test_the_scaling_of_the_models_opens_with_a_table_and_a_picture_too(school):
    opens_with_the_models(shown(school, "refinement_gap_scaling"))


def test_many_models_are_counted_and_those_that_nobody_refined_have_a_dash(school):
    (first, *_) = reported_gaps(school.experiment, school.store, "base")
    many = [dataclasses.replace(first, subject=f"llama-{number}") for number in range(100)]
    table = shown_models(many)["models"].value
    assert len(table) < 1000
    assert table.endswith(f"{100 - table.count('| sums')} more in report.html")
    unrefined = dataclasses.replace(first, intervals={"pass_at_1": first.intervals["pass_at_1"]})
    said = shown_models([unrefined])
    assert list(said) == ["models"]
    assert "| sums, llama-tiny | – |" in said["models"].value


def test_a_report_that_is_current_opens_so_too(school):
    shown(school, "student_comparison")
    (again,) = school.run("student_comparison", "").get_asset_materialization_events()
    said = again.materialization.metadata
    assert "current" in said["work"].value
    assert list(said)[:2] == ["students", "gap_minus_base"]
