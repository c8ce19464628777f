"""Judgements that are kept for the next process: they save time, and change no verdict."""

import sqlite3
from contextlib import closing

import pytest

from resources.grading.judgements import KeptJudgements
from resources.grading.worker import Judgement

HALF = {"0.5": Judgement("correct", "1/2"), "1/3": Judgement("incorrect", "1/3"), "2/6": Judgement("incorrect", "1/3")}


@pytest.fixture
def kept(tmp_path, monkeypatch) -> KeptJudgements:
    monkeypatch.setenv("GSR_CACHE", str(tmp_path))
    return KeptJudgements("math-verify 1.0, rules 4")


def test_what_was_kept_is_read_again_and_nothing_of_another_version(kept):
    assert kept.read(["half"]) == {}
    kept.keep({"half": HALF, "third": {}})
    assert kept.read(["half", "third", "fourth"]) == {"half": HALF, "third": {}}
    assert KeptJudgements("math-verify 1.0, rules 5").read(["half"]) == {}


def test_what_the_grader_gave_up_on_is_tried_again(kept):
    slow = {"x": Judgement("timed out", "x"), "y": Judgement("comparison failed", "y")}
    kept.keep({"half": {**HALF, **slow}})
    assert kept.read(["half"]) == {"half": HALF}


def test_an_entry_grows_and_is_never_mixed_with_what_another_process_found(kept):
    kept.keep({"half": {"0.5": HALF["0.5"]}})
    kept.keep({"half": HALF})
    other = {
        "2/6": Judgement("incorrect", "2/6"),
        "1/3": Judgement("incorrect", "2/6"),
        "4": Judgement("incorrect", "4"),
    }
    kept.keep({"half": other})
    assert kept.read(["half"]) == {"half": HALF}


def test_many_references_are_read_at_once(kept):
    every = {f"reference {number}": HALF for number in range(1200)}
    kept.keep(every)
    assert kept.read(every) == every


def test_a_changed_entry_is_not_believed_and_is_written_anew(kept, caplog):
    kept.keep({"half": HALF})
    with closing(sqlite3.connect(kept.path)) as connection, connection:
        connection.execute("update judged set judgements = replace(judgements, 'incorrect', 'correct')")
    assert kept.read(["half"]) == {}
    assert "an entry is damaged" in caplog.text
    kept.keep({"half": HALF})
    assert kept.read(["half"]) == {"half": HALF}


@pytest.mark.parametrize("content", [b"", b"no database at all", b"SQLite format 3\0" + b"\xff" * 4000])
def test_a_damaged_file_ends_no_run(kept, content):
    kept.keep({"half": HALF})
    kept.path.write_bytes(content)
    assert kept.read(["half"]) == {}
    kept.keep({"half": HALF})
    assert kept.read(["half"]) == {"half": HALF}


def test_a_cache_that_cannot_be_written_ends_no_run(tmp_path, monkeypatch, caplog):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("GSR_CACHE", str(tmp_path / "file"))
    kept = KeptJudgements("math-verify")
    kept.keep({"half": HALF})
    assert kept.read(["half"]) == {}
    assert "Answers are judged again" in caplog.text
