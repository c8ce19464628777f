"""Samples as a data set: what `load_dataset` gives of the folder is what the store has."""

import json
import socket
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from gsr_dagster.experiment.keys import ArtifactKey
from gsr_dagster.operations.exporting.samples.choosing import Asked, choose
from gsr_dagster.operations.exporting.samples.folder import export_samples
from tests.school import STUDENT, School

SUBJECTS = {"llama-tiny": "base", "llama-big": "base", STUDENT: "student"}


@pytest.fixture(scope="module")
def folder(finished_school: School, tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("taken") / "samples"
    export_samples(choose(finished_school.experiment, finished_school.store, Asked()), place, "datasets")
    return place


@pytest.fixture
def loaded(folder, tmp_path, monkeypatch):
    """Return what loads a config's rows from the folder, without a network."""
    import datasets

    def refuse(*_: object) -> None:
        raise OSError("there is no network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    return lambda config, split: datasets.load_dataset(
        str(folder), config, split=split, cache_dir=str(tmp_path)
    ).to_list()


def stored(school: School, asset: str, subject: str) -> list[dict]:
    return school.store.read(ArtifactKey(f"{SUBJECTS[subject]}/{asset}", f"sums|{subject}"))


def test_the_configs_are_those_of_benchmarks_and_students(folder):
    import datasets

    assert datasets.get_dataset_config_names(str(folder)) == [
        "candidates-sums",
        "refinements-sums",
        f"training-{STUDENT}",
    ]


def test_candidates_come_with_problem_text_and_verdict(loaded, finished_school):
    rows = loaded("candidates-sums", "test")
    assert {row["model"] for row in rows} == set(SUBJECTS)
    problems = {
        row["problem_id"].removeprefix("sums/"): row
        for row in finished_school.store.read(ArtifactKey("benchmark_problems", "sums"))
    }
    for subject in SUBJECTS:
        own = [row for row in rows if row["model"] == subject]
        graded = {row["candidate_id"]: row for row in stored(finished_school, "graded_candidates", subject)}
        texts = {row["candidate_id"]: row["text"] for row in stored(finished_school, "candidate_pools", subject)}
        assert [(row["problem_id"], row["sample_index"]) for row in own] == sorted(
            (row["problem_id"].removeprefix("sums/"), row["sample_index"]) for row in graded.values()
        )
        for row in own:
            grade, problem = graded[row["candidate_id"]], problems[row["problem_id"]]
            assert (row["problem"], row["answer"]) == (problem["problem"], problem["answer"])
            assert row["response"] == texts[row["candidate_id"]]
            assert row["extracted_answer"] == grade["answer"]
            for name in ("verdict", "correct", "answer_class", "finish_reason", "prompt_tokens", "generated_tokens"):
                assert row[name] == grade[name], name


def test_refinements_come_with_the_texts_of_their_candidates_as_they_were_shown(loaded, finished_school):
    rows = loaded("refinements-sums", "test")
    for subject in SUBJECTS:
        own = {row["refinement_id"]: row for row in rows if row["model"] == subject}
        texts = {row["candidate_id"]: row["text"] for row in stored(finished_school, "candidate_pools", subject)}
        written = {row["refinement_id"]: row["text"] for row in stored(finished_school, "self_refinements", subject)}
        scored = stored(finished_school, "gap_reports", subject)
        assert len(own) == len(scored) == 48
        for score in scored:
            row = own[score["refinement_id"]]
            assert row["candidate_ids"] == score["candidate_ids"]
            assert row["candidates"] == [texts[name] for name in score["candidate_ids"]]
            assert row["response"] == written[score["refinement_id"]]
            assert (row["correct"], row["verdict"], row["extracted_answer"]) == (
                score["refined"],
                score["verdict"],
                score["answer"],
            )
            assert (row["n_correct"], row["vote"], row["group_id"]) == (
                score["n_correct"],
                score["vote"],
                score["group_id"],
            )


def test_training_rows_are_chats_with_their_teacher_and_why_they_were_kept(loaded, finished_school):
    rows = {row["row_id"]: row for row in loaded(f"training-{STUDENT}", "train")}
    learned = finished_school.store.read(ArtifactKey("training_sets", STUDENT))
    right = {
        row["refinement_id"]: row["n_correct"]
        for row in finished_school.store.read(ArtifactKey("teacher_refinements", STUDENT))
    }
    assert len(rows) == len(learned)
    for row in learned:
        found = rows[row["row_id"]]
        assert found["prompt"] == json.loads(row["messages"])
        assert found["completion"] == [{"role": "assistant", "content": row["completion"]}]
        assert found["teacher"] == "llama-big"
        if row["kind"] == "direct":
            assert found["why"] == "a direct solution that is right and ended by itself"
            assert found["n_correct"] is None
        else:
            of = f"{right[row['teacher_sample_id']]} of 2 candidates of its group are right"
            assert found["why"] == f"a refinement that is right and ended by itself; {of}"


def test_a_model_and_a_benchmark_can_be_chosen(finished_school):
    experiment, store = finished_school.experiment, finished_school.store
    chosen = choose(experiment, store, Asked(models=["llama-big"]))
    assert [run.subject for run in chosen.pools] == ["llama-big"]
    assert chosen.taught == []
    chosen = choose(experiment, store, Asked(benchmarks=["sums"]))
    assert [run.subject for run in chosen.pools] == list(SUBJECTS)
    assert chosen.taught == [], "training sets belong to no benchmark"
    assert choose(experiment, store, Asked()).taught[0].name == STUDENT


def test_a_pool_that_is_larger_than_what_is_in_memory_is_read_in_parts(folder, finished_school, tmp_path, monkeypatch):
    monkeypatch.setattr("gsr_dagster.operations.exporting.samples.reading.SAMPLES_AT_ONCE", 10)
    chosen = choose(finished_school.experiment, finished_school.store, Asked(models=["llama-big"]))
    export_samples(chosen, tmp_path / "parts", "datasets")
    for file in ("candidates/sums/llama-big.parquet", "refinements/sums/llama-big.parquet"):
        assert pq.read_table(tmp_path / "parts" / file) == pq.read_table(folder / file)


def test_without_a_readable_gold_a_candidate_is_neither_right_nor_wrong(finished_school, tmp_path):
    school = finished_school.copy(tmp_path / "artifacts")
    no_gold = {"verdict": "gold unparseable", "correct": False, "answer_class": None}
    school.rewrite(
        "base/graded_candidates",
        "sums|llama-big",
        lambda rows: [{**row, **no_gold} if row["problem_id"] == "sums/3-11" else row for row in rows],
    )
    chosen = choose(school.experiment, school.store, Asked(models=["llama-big"]))
    export_samples(chosen, tmp_path / "out", "datasets")
    rows = pq.read_table(tmp_path / "out" / "candidates/sums/llama-big.parquet").to_pylist()
    assert {row["problem_id"] for row in rows if row["correct"] is None} == {"3-11"}
    assert {row["verdict"] for row in rows if row["correct"] is None} == {"gold unparseable"}
