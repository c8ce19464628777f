"""The law of every check's text: what was compared with what, the line and, where it fails, what to do.

The checks are those of a whole graph, each failing on real artifacts that were changed in one place.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from assets.teaching.checkpoint_checks import REWARDS
from gsr_dagster.experiment.keys import asset_of
from gsr_dagster.experiment.settings import Checks
from gsr_dagster.method.rows import Row
from tests.assets.rewriting import (
    BASE,
    TRAINED,
    adapter,
    changed_student,
    every,
    leaked,
    same_text,
    without_first,
    without_refinements_of_all_wrong,
)
from tests.school import STUDENT, School, play

# Numbers first; then the line, in words or by its key in the experiment file; then what a person does.
FORM = re.compile(r"(?P<compared>[^:;]*\d[^:;]*): (?P<line>[^;]+?)(?:; (?P<advice>[^;].*))?")
LINE = re.compile(r"\bchecks\.(\w+)|\b(none|all|every|at least|as many|below|only these)\b")
ADVICE = ("choose", "give", "look", "lower", "materialize", "mend", "more", "name", "raise", "serve", "set", "take")
ADVICE += ("train",)
AGGREGATION = "aggregation/genselect"


def parts(text: str) -> dict[str, str | None]:
    """Return what a check's text says, in its three parts."""
    found = FORM.fullmatch(text)
    assert found, text
    said = found.groupdict()
    line = LINE.search(said["line"])
    assert line, text
    if line[1]:
        assert line[1] in Checks.model_fields, text
        assert re.search(r"\d", said["line"]), f"the line itself: {text}"
    return said


@pytest.fixture(scope="module")
def whole(finished_school, tmp_path_factory) -> School:
    """The school with a further group size, an aggregation and a judge, so that its graph has every asset with a check."""
    whole = finished_school.copy(
        tmp_path_factory.mktemp("whole") / "artifacts",
        ks=[2, 4],
        aggregations={"genselect": {"kind": "generative_selection"}},
        judge={"model": "llama-big", "max_new_tokens": 64},
    )
    with pytest.MonkeyPatch.context() as patch:
        play(patch)
        whole.run_all()
    return whole


def checked_assets(school: School) -> dict[str, set[str]]:
    """Return the names of the checks of every asset of the graph."""
    keys = {key for checks in school.definitions.asset_checks for key in checks.check_keys}
    assets = {asset_of(key.asset_key) for key in keys}
    return {asset: {key.name for key in keys if asset_of(key.asset_key) == asset} for asset in assets}


def partition_of(asset: str) -> str:
    for start, partition in {"base/": BASE, "student/": TRAINED, "benchmark": "sums"}.items():
        if asset.startswith(start):
            return partition
    return "" if asset in ("training_problems", "contamination") else STUDENT


def test_every_check_that_passes_says_what_was_compared_and_the_line(whole):
    graph = checked_assets(whole)
    for asset, names in graph.items():
        results = whole.checks(asset, partition_of(asset))
        assert set(results) == names
        for name, check in results.items():
            said = parts(check.description)
            assert (said["advice"] is None) == check.passed, (name, check.description)


@dataclass(frozen=True)
class Break:
    """How to make a check fail: an asset's rows or summary changed, or the experiment that it is held against."""

    asset: str
    rows: Callable[[list[Row]], list[Row]] = list
    summary: dict | None = None
    experiment: Callable[[School], dict] | None = None
    checked: str | None = None  # the asset whose check fails, where it is another


def student_of(**changes) -> Callable[[School], dict]:
    return lambda school: changed_student(school, **changes)


def contaminated(said: str) -> Callable[[School], dict]:
    return lambda school: {"contamination": said}


def thinking(school: School) -> dict:
    models = school.written["families"]["llama"]
    return {"families": {"llama": {name: {**model, "thinking_end": "</think>"} for name, model in models.items()}}}


def overlapping(rows: list[Row]) -> list[Row]:
    of = {"training_id": "training/21-31", "benchmark": "sums", "problem_id": "sums/3-11"}
    return [{**of, "kind": "near duplicate", "share": 1.0}]


OVERLAPS = {"near_duplicate_pairs": 1, "overlapping_training_problems": 1, "overlapping_benchmark_problems": 1}
UNASKED = every(40, finish_reason="unasked", text="")
CUT = every(40, finish_reason="length")
BREAKS = {
    "problems_sound": [
        Break("benchmark_problems", summary={"left_out": {"empty answer": 2}}),
        Break("benchmark_problems", summary={"unreadable_golds": ["sums/3-11"]}),
    ],
    "training_problems_sound": [Break("training_problems", summary={"left_out": {"repeated text": 1}})],
    "samples_complete": [
        Break(asset, without_first)
        for asset in ("base/candidate_pools", "base/self_refinements", "student/curve_refinements", "teacher_solutions")
    ],
    "few_unasked": [
        Break(asset, UNASKED)
        for asset in (
            *("base/candidate_pools", "base/curve_refinements", f"student/{AGGREGATION}", "teacher_solutions"),
            "student/judge_samples",
        )
    ],
    "few_truncated": [
        Break(asset, CUT)
        for asset in (
            *("student/candidate_pools", "base/curve_refinements", f"base/{AGGREGATION}", "teacher_refinements"),
            "base/judge_samples",
        )
    ],
    "thinking_closed": [
        Break(asset, experiment=thinking)
        for asset in ("base/self_refinements", f"base/{AGGREGATION}", "student/curve_refinements", "base/judge_samples")
    ],
    "few_unread": [Break("student/judge_verdicts", every(20, judge_verdict="unread"))],
    "few_repeated": [Break("base/candidate_pools", same_text), Break("training_candidates", same_text)],
    "golds_readable": [Break("base/graded_candidates", every(1, verdict="gold unparseable"))],
    "few_without_answer": [Break("student/gap_reports", every(20, verdict="no answer"))],
    "few_timed_out": [Break("base/graded_candidates", every(2, verdict="timed out"))],
    "pass_at_1_held": [Break("student/graded_candidates", every(96, correct=False), checked="student/gap_reports")],
    "gap_gained": [
        Break("student/gap_reports", every(96, refined=False, vote=1.0)),
        Break("student/gap_reports", experiment=lambda school: {"checks": {"least_gap_gained": 1}}),
    ],
    "teacher_gap_leads": [
        Break("teacher_refinements", experiment=student_of(teacher="llama-tiny")),
        Break("teacher_refinements", experiment=lambda school: {"checks": {"least_gap_lead": 1}}),
    ],
    "mixed_as_wanted": [
        Break("training_sets", without_first),
        Break("training_sets", experiment=student_of(rows="direct")),
    ],
    "no_gold_in_prompts": [Break("training_sets", leaked)],
    "teacher_yields": [Break("training_sets", summary={"correct_refinements": 1, "correct_solutions": 0})],
    "all_wrong_kept": [Break("training_sets", without_refinements_of_all_wrong)],
    "few_overlong": [Break("training_sets", experiment=student_of(training={"max_length": 60}))],
    "teacher_graded_in_time": [
        Break("training_sets", summary={"timed_out": 5}),
        Break("training_sets", summary={"timed_out": None}),
    ],
    "lineage_intact": [Break("training_candidates", without_first, checked="lora_checkpoints")],
    "training_finite": [Break("lora_checkpoints", every(2, loss=math.inf))],
    "loss_fell": [Break("lora_checkpoints", lambda rows: [{**row, "loss": float(row["step"])} for row in rows])],
    "differs_from_base": [],  # its files change, see below
    "no_overlap_with_benchmarks": [
        Break("contamination", overlapping, OVERLAPS | {"by_benchmark": {"sums": 1}}, contaminated(said))
        for said in ("block", "report")
    ],
}


def test_the_law_is_asked_of_every_check_of_the_graph(whole):
    # Those of rewards are broken in tests/assets/teaching/test_rewards.py, on a student that learns from them.
    of_rewards = {check.__name__ for check in REWARDS}
    assert {name for names in checked_assets(whole).values() for name in names} - of_rewards == set(BREAKS)


@pytest.mark.parametrize(("name", "way"), [(name, way) for name, ways in BREAKS.items() for way in ways])
def test_every_check_that_fails_says_what_was_compared_the_line_and_what_to_do(whole, tmp_path, name, way):
    school = whole.copy(tmp_path / "artifacts", **(way.experiment(whole) if way.experiment else {}))
    school.rewrite(way.asset, partition_of(way.asset), way.rows, **(way.summary or {}))
    advises(school, name, way.checked or way.asset)


def test_a_student_that_is_its_base_is_told_of_in_the_same_way(whole, tmp_path):
    school = whole.copy(tmp_path / "artifacts")
    adapter(school, 1, 0)
    advises(school, "differs_from_base", "lora_checkpoints")


def advises(school: School, name: str, asset: str) -> None:
    result = school.run(asset, partition_of(asset))  # a blocking check fails its run
    (check,) = [check for check in result.get_asset_check_evaluations() if check.check_name == name]
    assert not check.passed, check.description
    said = parts(check.description)
    assert said["advice"], check.description
    assert said["advice"].split()[0] in ADVICE, check.description
