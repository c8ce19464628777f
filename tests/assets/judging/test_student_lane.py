"""A student's answers are judged as a model's are; new answers are asked about and old ones are not asked about again."""

import pytest

from gsr_dagster.experiment.keys import ArtifactKey
from gsr_dagster.method.scoring.judged_scores import JudgedSummary
from tests.assets.rewriting import TRAINED, without_first
from tests.school import School, play

JUDGE = {"judge": {"model": "llama-big", "max_new_tokens": 64}}
LANE = ("candidate_pools", "graded_candidates", "self_refinements", "judge_samples", "judge_verdicts")


def run(school: School, *assets: str) -> School:
    for asset in assets:
        assert school.run(f"student/{asset}", TRAINED).success
    return school


@pytest.fixture
def judged_school(finished_school, tmp_path, monkeypatch) -> School:
    play(monkeypatch)
    return run(finished_school.copy(tmp_path / "artifacts", **JUDGE), *LANE[-2:])


def test_a_judge_that_compares_as_the_grader_does_agrees_with_it_everywhere(judged_school):
    summary = judged_school.store.summary(ArtifactKey("student/judge_verdicts", TRAINED), JudgedSummary)
    assert (summary.agreement.share.estimate, summary.agreement.kappa) == (1, 1)
    assert summary.agreement.answers == summary.answers
    assert (summary.unread, summary.only_judge, summary.undecided) == (0, 0, 0)
    assert summary.scores["judge"] == summary.scores["grader, then judge"] == summary.scores["grader"]


def test_more_samples_ask_the_judge_about_new_answers_alone(judged_school, tmp_path):
    key = ArtifactKey("student/judge_samples", TRAINED)
    before = {row["sample_id"]: row for row in judged_school.store.read(key)}
    more = {"benchmarks": {"sums": {**judged_school.written["benchmarks"]["sums"], "samples": 8}}}
    raised = run(judged_school.copy(tmp_path / "more", **more), *LANE)
    after = {row["sample_id"]: row for row in raised.store.read(key)}
    assert before.items() < after.items()
    assert judged_school.store.existing(key).fingerprint == raised.store.existing(key).fingerprint
    old = {shard.name for shard in judged_school.store.existing(key).shards}
    assert old < {shard.name for shard in raised.store.existing(key).shards}


def test_another_grader_asks_about_no_answer_again(judged_school, tmp_path):
    before = {name: judged_school.store.existing(ArtifactKey(f"student/{name}", TRAINED)) for name in LANE[-2:]}
    other = {"evaluation": {**judged_school.written["evaluation"], "grader": "math-verify"}}
    regraded = run(judged_school.copy(tmp_path / "regraded", **other), "graded_candidates", *LANE[-2:])
    after = {name: regraded.store.existing(ArtifactKey(f"student/{name}", TRAINED)) for name in LANE[-2:]}
    assert after["judge_samples"].shards == before["judge_samples"].shards
    assert after["judge_verdicts"].fingerprint != before["judge_verdicts"].fingerprint


def test_no_verdict_is_made_up_for_an_answer_that_the_judge_was_not_asked_about(judged_school):
    judged_school.rewrite("student/judge_samples", TRAINED, without_first)
    refusal = judged_school.refusal("student/judge_verdicts", TRAINED)
    assert "student/judge_samples[sums|llama-student] lacks 1 of" in refusal
    assert "materialize it again" in refusal
