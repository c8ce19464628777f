"""A tiny experiment through the whole graph, with a real small model: as a user types it, and what came out."""

import re
import subprocess
from collections import Counter
from pathlib import Path
from statistics import mean

import dagster as dg
import pytest
import yaml

from gsr_dagster.experiment.keys import ArtifactKey, asset_of, page_key
from gsr_dagster.method.answers import final_answer
from tests.running import instance_in


@pytest.fixture(scope="module")
def journey(tmp_path_factory, start_journey):
    return start_journey(tmp_path_factory.mktemp("journey"))


def test_a_run_prints_the_table_and_nothing_that_worries(journey):
    assert "llama-tiny" in journey.first.stdout
    assert "llama-student" in journey.first.stdout
    assert "minus majority" in journey.first.stdout
    assert "The teacher is the student's own base" in journey.first.stdout
    table, _, checks = journey.first.stdout.partition("checks fail (")
    assert not re.search("warn|traceback|deprecat", table + journey.first.stderr, re.IGNORECASE)
    failed = [line for line in checks.splitlines() if line.startswith(("error", "warning"))]
    assert f"\n{len(failed)} of " in table


def test_the_checks_that_fail_are_named_with_what_was_measured(journey):
    """Held against the event log: the last evaluation of every check of every partition."""
    last = {}
    with instance_in(journey.folder / "home" / "dagster") as instance:
        for run in instance.get_runs():  # the newest first
            for entry in reversed(instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION)):
                check = entry.get_dagster_event().asset_check_evaluation_data
                last.setdefault((check.asset_key.to_user_string(), check.check_name, check.partition), check)
    failed = [check for check in last.values() if not check.passed]
    assert f"{len(failed)} of {len(last)} checks fail" in journey.first.stdout
    for check in failed:
        place = ArtifactKey(asset_of(check.asset_key), check.partition or "")
        severity = "error  " if check.severity is dg.AssetCheckSeverity.ERROR else "warning"
        assert f"{severity} {check.check_name} of {place}: {check.description}" in journey.first.stdout


def test_every_candidate_is_graded_as_counting_by_hand_grades_it(journey):
    golds = {row["problem_id"]: int(row["answer"]) for row in journey.rows("benchmark_problems", "sums")}
    pool = {row["candidate_id"]: row for row in journey.rows("base/candidate_pools", "sums|llama-tiny")}
    graded = journey.rows("base/graded_candidates", "sums|llama-tiny")
    assert len(pool) == len(graded) == 24 * 4
    for row in graded:
        answer = final_answer(pool[row["candidate_id"]]["text"])
        by_hand = answer is not None and re.fullmatch(r"-?\d+", answer) and int(answer) == golds[row["problem_id"]]
        assert row["correct"] == bool(by_hand)


def test_the_gap_is_what_its_groups_say(journey):
    summary = journey.store.existing(ArtifactKey("base/gap_reports", "sums|llama-tiny")).summary
    rows = journey.rows("base/gap_reports", "sums|llama-tiny")
    assert len(rows) == summary["groups"] == 24 * 2
    gap = sum(row["refined"] - row["vote"] for row in rows) / len(rows)
    assert summary["refinement_gap"] == pytest.approx(gap)
    interval = summary["intervals"]["refinement_gap"]
    assert interval["low"] <= gap <= interval["high"]
    assert 0.2 < summary["pass_at_1"] < 0.98


def test_a_refinement_shows_the_candidates_of_its_group_and_no_problem_is_in_both_sets(journey):
    candidates = {row["candidate_id"] for row in journey.rows("base/candidate_pools", "sums|llama-tiny")}
    shown = [c for row in journey.rows("base/self_refinements", "sums|llama-tiny") for c in row["candidate_ids"]]
    assert sorted(shown) == sorted(candidates)
    held_out = {row["problem"] for row in journey.rows("benchmark_problems", "sums")}
    assert not held_out & {row["problem"] for row in journey.rows("training_problems")}


def test_the_table_of_aggregations_holds_the_gaps_own_scores(journey):
    gap = journey.store.existing(ArtifactKey("student/gap_reports", "sums|llama-student")).summary
    table = journey.store.existing(ArtifactKey("student/aggregations", "sums|llama-student")).summary
    assert [entry["aggregation"] for entry in table["aggregations"]] == ["majority", "self_refinement", "pick"]
    assert table["aggregations"][1]["difference"]["estimate"] == pytest.approx(gap["refinement_gap"])


def test_groups_of_a_further_size_are_refined_apart_from_the_same_pool(journey):
    candidates = {row["candidate_id"] for row in journey.rows("base/candidate_pools", "sums|llama-tiny")}
    refinements = journey.rows("base/curve_refinements", "sums|llama-tiny")
    assert sorted(c for row in refinements for c in row["candidate_ids"]) == sorted(candidates)
    assert {len(row["candidate_ids"]) for row in refinements} == {4}
    for lane, subject in (("base", "llama-tiny"), ("student", "llama-student")):
        (row,) = journey.rows(f"{lane}/gap_curves", f"sums|{subject}")
        assert (row["k"], row["groups"]) == (4, 24)


def test_the_training_set_holds_only_correct_answers_one_to_one(journey):
    golds = {row["problem_id"]: row["answer"] for row in journey.rows("training_problems")}
    rows = journey.rows("training_sets", "llama-student")
    kinds = [row["kind"] for row in rows]
    assert kinds.count("refinement") == kinds.count("direct") > 10
    assert all(
        int(final_answer(row["completion"]) or "none") == int(golds[row["problem_id"]]) for row in rows
    )  # -0 is 0
    assert all(len(row["candidate_ids"]) == (2 if row["kind"] == "refinement" else 0) for row in rows)


def test_the_student_is_an_adapter_that_differs_from_its_base_and_learned(journey):
    from safetensors.numpy import load_file

    folder = journey.store.local_files(ArtifactKey("lora_checkpoints", "llama-student"))
    adapter = load_file(folder / "adapter_model.safetensors")
    assert any(abs(tensor).max() > 0 for name, tensor in adapter.items() if "lora_B" in name)
    history = sorted(journey.rows("lora_checkpoints", "llama-student"), key=lambda row: row["step"])
    last = max(row["epoch"] for row in history)
    first_time = [row["loss"] for row in history if row["epoch"] <= 1]
    last_time = [row["loss"] for row in history if row["epoch"] > last - 1]
    assert mean(last_time) < mean(first_time), "the same rows, read again"


def test_the_report_stands_alone_and_holds_the_table(journey):
    (path,) = (journey.folder / "home").rglob("report.html")
    page = path.read_text()
    assert "llama-student" in page
    assert "Other ways to answer from the same candidates" in page
    assert page.count("data:image/png;base64,") >= 4
    assert not re.search(r'(src|href)="(?!data:)', page)


def test_dagster_knows_every_materialization_and_its_checks(journey):
    with instance_in(journey.folder / "home" / "dagster") as instance:
        keys = {key.to_user_string() for key in instance.all_asset_keys()}
        assert {"small/benchmark_problems", "small/base/gap_reports", "small/lora_checkpoints"} <= keys
        event = instance.get_latest_materialization_event(page_key("small", "student/gap_reports"))
        assert event is not None
        tags = event.asset_materialization.tags
        version = journey.store.data_version(ArtifactKey("student/gap_reports", "sums|llama-student"))
        assert tags["dagster/data_version"] == version
        assert instance.get_runs_count() >= 6


def logged(journey, what: str) -> list[str]:
    """Return the lines with this text in the event log of all runs."""
    with instance_in(journey.folder / "home" / "dagster") as instance:
        runs = [run.run_id for run in instance.get_runs()]
        return [line for run in runs for r in instance.all_logs(run) if what in (line := r.user_message)]


def test_a_second_run_does_nothing_and_says_so(journey):
    before = {path: path.stat().st_mtime_ns for path in Path(journey.store.root).rglob("*") if path.is_file()}
    loaded = logged(journey, "loading path:")
    assert len(loaded) >= 2  # the model, and the student
    second = journey.gsr("run")
    assert logged(journey, "loading path:") == loaded
    assert second.returncode == 0, second.stderr
    assert "Nothing to do: every asset of small is current" in second.stdout
    after = {path: path.stat().st_mtime_ns for path in Path(journey.store.root).rglob("*") if path.is_file()}
    assert after == before


def test_the_lineage_of_the_student_reaches_the_problems(journey):
    walked = journey.gsr("lineage", "llama-student")
    assert walked.returncode == 0, walked.stdout
    for asset in (
        "training_sets",
        "teacher_refinements",
        "training_candidates",
        "training_problems",
        "benchmark_problems",
    ):
        assert f"{asset}" in walked.stdout
    assert "BROKEN" not in walked.stdout


def test_sql_sees_every_asset(journey):
    answer = journey.gsr("sql", "select count(*) as candidates from base_candidate_pools")
    assert "96" in answer.stdout


def test_the_report_says_where_the_gap_comes_from(journey):
    summary = journey.store.existing(ArtifactKey("base/gap_reports", "sums|llama-tiny")).summary
    parts = summary["parts"]
    assert parts["rescued"] + parts["rescued_all_wrong"] - parts["broken"] == pytest.approx(summary["refinement_gap"])
    assert summary["fresh_sample"]["groups"] <= sum(s["groups"] for s in summary["by_correct"] if s["n_correct"] == 0)
    assert summary["equal_cost"]["samples"] == pytest.approx(3, abs=1)
    assert len(summary["pool_maj_at_k"]) == 4
    assert summary["pool_pass_at_k"][0] == pytest.approx(summary["pass_at_1"])
    (path,) = (journey.folder / "home").rglob("report.html")
    assert "Where the gap comes from" in path.read_text()


def test_stored_samples_can_be_graded_again_without_a_change(journey):
    regraded = journey.gsr("regrade", "--grader", "exact")
    assert regraded.returncode == 0, regraded.stderr
    assert regraded.stdout.count("same") == 2
    assert "of 144" in regraded.stdout
    assert "Nothing to do" in journey.gsr("run").stdout


def test_an_unknown_student_and_a_bad_file_get_one_clear_line(journey, tmp_path):
    unknown = journey.gsr("lineage", "nobody")
    assert unknown.returncode == 1
    assert "no student 'nobody'; there are: llama-student" in unknown.stderr
    document = journey.document(samples=4)
    document["students"]["llama-student"]["teacher"] = "gpt"
    bad = tmp_path / "bad.yaml"
    bad.write_text(yaml.safe_dump(document))
    refused = subprocess.run([str(journey.command), "-e", str(bad), "run"], capture_output=True, text=True)
    assert refused.returncode == 1
    assert "students.llama-student.teacher: no model 'gpt'; there are llama-tiny" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_raising_n_keeps_every_sample_and_then_a_broken_link_is_named(journey):
    """One journey on the same artifacts, in this order: N from 4 to 8, then a byte flipped in the teacher's data."""
    before = {row["candidate_id"]: row for row in journey.rows("base/candidate_pools", "sums|llama-tiny")}
    groups = {row["group_id"]: row for row in journey.rows("base/gap_reports", "sums|llama-tiny")}
    shards = set(journey.store.existing(ArtifactKey("base/candidate_pools", "sums|llama-tiny")).shards)
    journey.write(samples=8)
    grown = journey.gsr("run")
    assert grown.returncode == 0, grown.stdout + grown.stderr
    for subject in ("base/candidate_pools[sums|llama-tiny]", "student/candidate_pools[sums|llama-student]"):
        assert logged(journey, f"{subject}: 96 of 192 samples are there, drawing 96")
    after = {row["candidate_id"]: row for row in journey.rows("base/candidate_pools", "sums|llama-tiny")}
    assert Counter(row["problem_id"] for row in after.values()) == {row["problem_id"]: 8 for row in before.values()}
    assert {name: after[name] for name in before} == before
    grown_shards = set(journey.store.existing(ArtifactKey("base/candidate_pools", "sums|llama-tiny")).shards)
    assert shards < grown_shards
    assert sum(shard.rows for shard in grown_shards - shards) == 24 * 4
    regrouped = {row["group_id"]: row for row in journey.rows("base/gap_reports", "sums|llama-tiny")}
    assert {name: regrouped[name]["refinement_id"] for name in groups} == {
        n: g["refinement_id"] for n, g in groups.items()
    }

    key = ArtifactKey("teacher_refinements", "llama-student")
    manifest = journey.store.existing(key)
    shard = Path(journey.store.root, key.path, manifest.fingerprint, manifest.shards[0].name)
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    walked = journey.gsr("lineage", "llama-student")
    assert walked.returncode == 1
    assert "teacher_refinements[llama-student]: BROKEN" in walked.stdout
    assert shard.name in walked.stdout.replace("\n", "")
