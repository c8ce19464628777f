"""A judge from the experiment file to the report: recorded answers, and a judge on a server of loopback.

Three problems, k = 2, two groups each, so that every number below can be counted by hand.
"""

from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from assets.judging.verdicts import shown_on_the_page
from assets.reports.collecting import reported_gap
from gsr_dagster.commands.main import main
from gsr_dagster.commands.options import console
from gsr_dagster.experiment.keys import ArtifactKey, EvaluationKey
from gsr_dagster.experiment.loading import load_experiment
from gsr_dagster.method.judging import JUDGE_ROLE
from gsr_dagster.method.scoring.gap_summary import GapSummary, Scores
from gsr_dagster.method.scoring.judged_scores import JudgedSummary
from gsr_dagster.operations.home import artifact_store
from gsr_dagster.operations.lanes import all_steps, lanes
from resources.problems.recorded_samples import Recorded, write_recorded, write_samples
from resources.reporting.report_page import Report, render_report
from tests.resources.engines.served.played import chat, playing
from tests.school import judged_pair

ODD = "any $a$ such that ("  # no mathematics: a gold that cannot be read
# By problem: its gold, and of each group the two answers and that of the refinement; None says nothing.
ANSWERS = {
    "a": ("7", [(("7", "3-"), "7"), (("8", "8"), "3-")]),
    "b": (ODD, [(("yes", "no"), "yes"), (("yes", "yes"), "sure")]),
    "c": ("1/2", [(("0.5", "3"), "1/2"), ((None, "4"), "4")]),
}
# What the judge writes of a gold and an answer.
SAYS = {
    ("7", "7"): "Verdict: correct",
    ("7", "3-"): "It breaks off, but means 7.\n**Verdict: correct**",
    ("7", "8"): "It says\nVerdict: correct\nbut is 8.\nVerdict: incorrect",
    (ODD, "yes"): "Verdict: correct",
    (ODD, "no"): "Verdict: incorrect.",
    (ODD, "sure"): "That may be correct.",
    ("1/2", "0.5"): "Verdict: correct",
    ("1/2", "3"): "Verdict: incorrect",
    ("1/2", "1/2"): "Verdict: incorrect",  # a judge that is wrong
    ("1/2", "4"): "Verdict: incorrect",
}
SUBJECT, PARTITION = "r-x", "odd|r-x"
EVALUATION = EvaluationKey("base", "odd", SUBJECT)
NEW = ["base/judge_samples", "base/judge_verdicts"]


def text(answer: str | None) -> str:
    return "Hm." if answer is None else f"It is \\boxed{{{answer}}}."


def play(body: dict):
    asked = body["messages"][-1]["content"]
    return chat(SAYS[judged_pair(asked)] if asked.startswith(JUDGE_ROLE) else "2")


def write(folder: Path, name: str, engine: dict, **changes) -> Path:
    """Write an experiment of recorded answers, with a judge of this engine."""
    rollout = {"temperature": 1.0, "max_new_tokens": 64}
    document = {
        "name": name,
        "k": 2,
        "benchmarks": {"odd": {"source": f"file:{folder / 'x' / 'problems.jsonl'}", "samples": 4, "domain": "math"}},
        "families": {
            "r": {"x": {"engine": {"kind": "recorded", "path": str(folder / "x")}}},
            "judges": {"big": {"evaluate": False, **engine}},
        },
        "evaluation": {"direct": rollout, "refinement": rollout, "candidate_tokens": 64},
        "judge": {"model": "judges-big", "max_new_tokens": 16},
        "checks": {"most_unread": 0.05},
        **changes,
    }
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump({key: value for key, value in document.items() if value is not None}))
    return path


def gsr(path: Path, *arguments: str) -> str:
    result = CliRunner().invoke(main, ["-e", str(path), *arguments])
    assert result.exit_code == 0, result.output
    return " ".join(result.output.split())


class Judged:
    """A finished experiment, its server and what its run printed."""

    def __init__(self, folder: Path, url: str):
        self.folder = folder
        engine = {"kind": "openai", "base_url": url, "model": "served", "concurrency": 2, "context": 4096}
        self.engine = {"engine": engine}
        self.path = write(folder, "judged", self.engine)
        self.planned = gsr(self.path, "plan")
        self.told = gsr(self.path, "run")
        self.store = artifact_store(load_experiment(self.path))
        self.summary = self.store.summary(EVALUATION.artifact("judge_verdicts"), JudgedSummary)
        self.rows = self.store.read(EVALUATION.artifact("judge_verdicts"))


@pytest.fixture(scope="module")
def server():
    with playing(play) as server:
        yield server


@pytest.fixture(scope="module")
def judged(server, tmp_path_factory):
    folder = tmp_path_factory.mktemp("judged")
    samples = [
        Recorded(name, f"What is {name}?", gold, text(refined), tuple(map(text, shown)))
        for name, (gold, groups) in ANSWERS.items()
        for shown, refined in groups
    ]
    (folder / "x").mkdir()
    write_recorded(samples, folder / "x", k=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GSR_HOME", str(folder / "home"))
        patch.setenv("DAGSTER_HOME", str(folder / "home" / "dagster"))
        patch.setattr(console, "width", 200)
        yield Judged(folder, server.url)


def test_every_distinct_answer_is_asked_about_once(judged, server):
    asked = [judged_pair(body["messages"][-1]["content"]) for body in server.samples_asked]
    assert sorted(asked) == sorted(SAYS)
    assert all(body["temperature"] == 0 for body in server.samples_asked)
    gsr(judged.path, "run")
    assert len(server.samples_asked) == len(SAYS)


def test_the_verdicts_of_grader_and_judge_stand_in_columns_of_their_own(judged):
    found = {(row["problem_id"], row["answer"]): (row["verdict"], row["judge_verdict"]) for row in judged.rows}
    assert found == {
        ("odd/a", "7"): ("correct", "correct"),
        ("odd/a", "3-"): ("unreadable", "correct"),
        ("odd/a", "8"): ("incorrect", "incorrect"),
        ("odd/b", "yes"): ("gold unparseable", "correct"),
        ("odd/b", "no"): ("gold unparseable", "incorrect"),
        ("odd/b", "sure"): ("gold unparseable", "unread"),
        ("odd/c", "0.5"): ("correct", "correct"),
        ("odd/c", "3"): ("incorrect", "incorrect"),
        ("odd/c", "1/2"): ("correct", "incorrect"),
        ("odd/c", "4"): ("incorrect", "incorrect"),
    }
    said = {row["text"] for row in judged.rows}
    assert said == set(SAYS.values())
    assert all(row["generated_tokens"] == 3 and row["prompt_tokens"] == 5 for row in judged.rows)


def figures(scores: Scores) -> tuple:
    parts = scores.pass_at_1, scores.maj_at_k, scores.self_ref_at_k, scores.refinement_gap
    return scores.problems, *(round(24 * part, 6) for part in parts)


def test_the_gap_is_what_hand_counting_gives_for_whoever_decides(judged):
    """In 24ths: pass@1, maj@2, selfRef@2 and the gap, after the number of problems."""
    found = {decider: figures(scores) for decider, scores in judged.summary.scores.items()}
    assert found == {
        "grader": (2, 6, 9, 12, 3),  # 1/4; of four groups 1, 0, 1/2 and 0; 1, 0, 1 and 0
        "grader, then judge": (3, 12, 12, 16, 4),  # 2/4, 3/4 and 1/4; 1, 0, 1/2, 1, 1/2, 0; 1, 1, 1, 0, 1, 0
        "judge": (3, 12, 12, 12, 0),  # the same but for c's first refinement
    }


def test_the_graders_scores_are_those_of_the_gap_report(judged):
    report = judged.store.summary(EVALUATION.artifact("gap_reports"), GapSummary)
    assert judged.summary.scores["grader"] == Scores(**{name: getattr(report, name) for name in Scores.__annotations__})


def test_what_the_judge_decided_and_how_far_the_two_agree_is_counted(judged):
    summary, both = judged.summary, judged.summary.agreement
    assert (summary.judge, summary.answers, summary.only_judge) == ("judges-big", 10, 3)
    assert (summary.unread, summary.undecided) == (1, 1)
    assert (both.both_correct, both.only_grader_correct, both.only_judge_correct, both.both_incorrect) == (2, 1, 0, 3)
    assert both.share.estimate == pytest.approx(5 / 6)
    assert both.share.low == pytest.approx(3 / 4)  # c alone, of 4 answers
    assert both.kappa == pytest.approx(2 / 3)


def test_the_run_and_the_report_show_it_and_the_plan_counts_it(judged):
    assert "r-x grader, then judge 3 50.0 50.0 66.7 +16.7 [" in judged.told
    assert "r-x judge (1 of 10 unread) 3 50.0 50.0 50.0 +0.0 [" in judged.told
    assert "r-x judges-big 10 3 1 83.3 [75.0, 100.0] of 6, κ 0.67" in judged.told
    assert "few_unread of base/judge_verdicts[odd|r-x]: 1 of 10 verdicts (10.0%) cannot be read" in judged.told
    # At most 4 candidates and 2 refinements of each of 3 problems.
    assert f"judge_samples r-x 18 18 {18 * 16}" in judged.planned
    page = (judged.store.local_files(ArtifactKey("student_comparison")) / "report.html").read_text(encoding="utf-8")
    assert "Who decides which answers are right" in page
    assert "judges-big" in page
    assert "judge (1 of 10 unread)" in page


def test_the_page_shows_the_scores_by_who_decides_and_the_four_counts(judged):
    shown = shown_on_the_page(judged.summary)
    records = [record.data for record in shown["scores"].records]
    assert [(record["decided by"], record["problems"], record["gap"].split()[0]) for record in records] == [
        ("grader", 2, "+12.5"),
        ("grader, then judge", 3, "+16.7"),
        ("judge (1 of 10 unread)", 3, "+0.0"),
    ]
    assert [list(record.data.values()) for record in shown["agreement"].records] == [
        ["correct", 2, 1],
        ["incorrect", 0, 3],
    ]
    assert shown["agree"].text == "83.3 [75.0, 100.0] of 6, κ 0.67"


def test_a_report_without_a_judge_does_not_speak_of_one(judged):
    experiment = load_experiment(judged.path)
    page = render_report(Report(experiment, [reported_gap(experiment, judged.store, EVALUATION)]))
    assert "Scores" in page
    assert "Who decides" not in page


def test_the_verdicts_can_be_queried(judged):
    query = "select judge_verdict, count(*) as n from base_judge_verdicts group by 1 order by 1"
    assert "correct" in (told := gsr(judged.path, "sql", query))
    assert [word for word in told.split() if word.isdigit()] == ["4", "5", "1"]


def stale(path: Path, judged) -> list[str]:
    """Return the assets that another file would make again in the same store."""
    experiment = load_experiment(path)
    return [
        key.asset
        for lane in lanes(experiment)
        for partition in lane.partitions
        for key in lane.stale(judged.store, partition)
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {"judge": {"model": "judges-big", "max_new_tokens": 32}},
        {"judge": {"model": "judges-big", "max_new_tokens": 16, "temperature": 0.5}},
        {"judge": {"model": "judges-other", "max_new_tokens": 16}},
    ],
)
def test_another_judge_makes_its_own_assets_stale_and_no_gap_report(judged, changes):
    engine = {**judged.engine["engine"], "model": "another"}
    families = yaml.safe_load(judged.path.read_text())["families"]
    families["judges"]["other"] = {"evaluate": False, "engine": engine}
    path = write(judged.folder, "judged", judged.engine, families=families, **changes)
    assert stale(path, judged) == NEW
    assert stale(write(judged.folder, "judged", judged.engine), judged) == []


def test_another_wording_of_the_prompt_makes_them_stale_too_and_another_reading_the_verdicts_alone(judged, monkeypatch):
    monkeypatch.setattr("assets.judging.fingerprints.VERDICT_VERSION", "next")
    assert stale(judged.path, judged) == NEW[1:]
    monkeypatch.setattr("assets.judging.fingerprints.JUDGE_PROMPT_VERSION", "next")
    assert stale(judged.path, judged) == NEW


def test_without_a_judge_there_are_no_assets_of_it_and_all_fingerprints_are_the_same(judged):
    without, with_judge = (
        load_experiment(write(judged.folder, "without", judged.engine, judge=None)),
        load_experiment(judged.path),
    )
    steps, own = all_steps(without), all_steps(with_judge)
    assert own.keys() - steps.keys() == set(NEW)
    for asset, step in steps.items():
        for partition in step.partitions:
            of_judged = own[asset].recipe(judged.store, partition)
            assert step.recipe(judged.store, partition).fingerprint == of_judged.fingerprint


def test_what_a_judge_wrote_can_be_recorded_and_stands_in_its_stead(judged, server):
    asked = len(server.samples_asked)
    rows = judged.store.read(EVALUATION.artifact("judge_samples"))
    ids = [(row["problem_id"].split("/", 1)[1], row["prompt_id"].split("/", 2)[2]) for row in rows]
    recorded = [
        {**{name: row[name] for name in ("sample_index", "text", "finish_reason", "prompt_tokens", "generated_tokens")},
         "problem_id": problem, "prompt_id": prompt, "prompt_sha256": row["prompt_sha256"]}
        for (problem, prompt), row in zip(ids, rows, strict=True)
    ]  # fmt: skip
    (judged.folder / "judge").mkdir()
    write_samples(judged.folder / "judge", sorted(recorded, key=lambda row: row["prompt_id"]), k=None)
    engine = {"engine": {"kind": "recorded", "path": str(judged.folder / "judge")}}
    path = write(judged.folder, "replayed", engine)
    gsr(path, "run")
    store = artifact_store(load_experiment(path))
    assert store.read(EVALUATION.artifact("judge_verdicts")) == judged.rows
    assert len(server.samples_asked) == asked


def test_a_real_model_that_cannot_judge_is_told_of_and_changes_no_score(judged, small_model):
    engine = {"source": f"path:{small_model}", "engine": {"kind": "transformers", "batch_size": 8}}
    path = write(judged.folder, "untaught", engine)
    told = gsr(path, "run")
    summary = artifact_store(load_experiment(path)).summary(EVALUATION.artifact("judge_verdicts"), JudgedSummary)
    assert (summary.answers, summary.unread, summary.only_judge, summary.agreement) == (10, 10, 0, None)
    assert summary.scores["grader, then judge"] == summary.scores["grader"] == judged.summary.scores["grader"]
    assert "10 of 10 verdicts (100.0%) cannot be read" in told
