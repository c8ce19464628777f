"""Pools as logs of inspect_ai, read by its own reader."""

import sys

import pytest

from gsr_dagster.experiment.keys import ArtifactKey
from gsr_dagster.operations.exporting.new_folder import ExportError
from gsr_dagster.operations.exporting.samples.choosing import Asked, choose
from gsr_dagster.operations.exporting.samples.folder import export_samples
from tests.school import STUDENT, School


@pytest.fixture(scope="module")
def logs(finished_school: School, tmp_path_factory) -> dict:
    log = pytest.importorskip("inspect_ai.log", reason="pip install inspect-ai to write its logs")
    folder = tmp_path_factory.mktemp("inspect") / "logs"
    export_samples(choose(finished_school.experiment, finished_school.store, Asked()), folder, "inspect")
    found = [log.read_eval_log(info) for info in log.list_eval_logs(str(folder))]
    return {one.eval.model: one for one in found}


def test_there_is_a_log_for_each_model_and_a_sample_for_each_candidate(logs, finished_school):
    assert logs.keys() == {"llama-tiny", "llama-big", STUDENT}
    for log in logs.values():
        assert (log.status, log.eval.task, log.eval.config.epochs) == ("success", "sums", 4)
        assert (log.eval.dataset.samples, log.results.total_samples, len(log.samples)) == (24, 96, 96)
    pool = finished_school.store.existing(ArtifactKey("base/candidate_pools", "sums|llama-big"))
    assert logs["llama-big"].eval.metadata["fingerprint"] == pool.fingerprint
    assert logs["llama-big"].eval.metadata["pool_sha256"] == pool.data_version
    assert logs["llama-big"].plan.config.temperature == 0.7


def test_a_sample_has_the_text_the_verdict_and_the_tokens(logs, finished_school):
    key = f"sums|{STUDENT}"
    graded = {r["candidate_id"]: r for r in finished_school.store.read(ArtifactKey("student/graded_candidates", key))}
    texts = {
        r["candidate_id"]: r["text"] for r in finished_school.store.read(ArtifactKey("student/candidate_pools", key))
    }
    samples = logs[STUDENT].samples
    assert len({sample.uuid for sample in samples}) == len(samples) == len(graded)
    for sample in samples:
        row = graded[sample.metadata["candidate_id"]]
        assert sample.output.completion == texts[row["candidate_id"]]
        assert sample.messages[-1].text == sample.output.completion
        assert sample.input in sample.messages[-2].text
        score = sample.scores["gsr"]
        assert (score.value, score.answer, score.explanation) == (
            "C" if row["correct"] else "I",
            row["answer"],
            row["verdict"],
        )
        assert (sample.output.usage.input_tokens, sample.output.usage.output_tokens) == (50, 20)
        assert sample.epoch == row["sample_index"] + 1


def test_its_accuracy_is_pass_at_1(logs, finished_school):
    for subject, log in logs.items():
        lane = "student" if subject == STUDENT else "base"
        summary = finished_school.store.existing(ArtifactKey(f"{lane}/gap_reports", f"sums|{subject}")).summary
        (score,) = log.results.scores
        assert score.metrics["accuracy"].value == pytest.approx(summary["pass_at_1"])


def test_no_answer_has_a_letter_of_its_own_and_what_cannot_be_scored_has_none(finished_school, tmp_path):
    log = pytest.importorskip("inspect_ai.log", reason="pip install inspect-ai to write its logs")
    school = finished_school.copy(tmp_path / "artifacts")
    changed = {
        "sums/3-11": {"verdict": "gold unparseable", "correct": False, "answer_class": None},
        "sums/3-12": {"verdict": "no answer", "correct": False, "answer": None, "answer_class": None},
    }
    school.rewrite(
        "base/graded_candidates",
        "sums|llama-big",
        lambda rows: [{**row, **changed.get(row["problem_id"], {})} for row in rows],
    )
    chosen = choose(school.experiment, school.store, Asked(models=["llama-big"]))
    export_samples(chosen, tmp_path / "logs", "inspect")
    read = log.read_eval_log(str(tmp_path / "logs" / "sums_llama-big.eval"))
    scores = {sample.id: sample.scores for sample in read.samples}
    assert scores["3-11"] is None
    assert scores["3-12"]["gsr"].value == "N"
    (score,) = read.results.scores
    assert (score.scored_samples, score.unscored_samples) == (92, 4)


def test_without_inspect_ai_it_says_what_to_install_and_leaves_nothing(finished_school, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "inspect_ai.log", None)
    chosen = choose(finished_school.experiment, finished_school.store, Asked())
    with pytest.raises(ExportError, match=r"pip install 'gsr-dagster\[inspect\]'"):
        export_samples(chosen, tmp_path / "new" / "logs", "inspect")
    assert list((tmp_path / "new").iterdir()) == []
