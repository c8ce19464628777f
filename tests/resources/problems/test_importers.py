import json
import re
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gsr_dagster.experiment.settings import RolloutSettings
from resources.engines.base import EngineError, Request
from resources.engines.recorded import RecordedEngine
from resources.problems.forms.fields import Reading
from resources.problems.importers import FORMS, read_files, read_problems, read_recorded
from resources.problems.recorded_samples import ImportFileError, Recorded, read_samples, write_recorded

SETTINGS = RolloutSettings(temperature=1, max_new_tokens=8)


def lines(folder: Path, *rows: dict) -> Path:
    path = folder / "recorded.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def pool(problems: int, samples: int) -> list[Recorded]:
    return [
        Recorded(f"p{p}", f"{p} + 1?", str(p + 1), f"text {p}.{s}") for p in range(problems) for s in range(samples)
    ]


def test_fields_with_other_names_are_mapped(tmp_path):
    row = {"question": "1 + 1?", "gold": 2.0, "output": "a", "tokens": 3}
    fields = {"problem": "question", "answer": "gold", "response": "output", "generated_tokens": "tokens"}
    (found,) = read_recorded(lines(tmp_path, row), "rows", fields)
    assert found == Recorded("1 + 1?", "1 + 1?", "2", "a", generated_tokens=3)


QUESTION = {"problem": "1 + 1?", "answer": 2}


def read(folder: Path, *rows: dict, **fields: str) -> list[Recorded]:
    return list(read_recorded(lines(folder, *({**QUESTION, **row} for row in rows)), "rows", fields))


def test_a_list_of_responses_is_a_sample_each_with_what_stands_beside_it(tmp_path):
    row = {
        "response": ["a", "b", ""],
        "label": [1, 0, None],
        "generated_tokens": [3, 4, None],
        "finish_reason": ["stop", "length", "stop"],
    }
    assert [(s.text, s.label, s.generated_tokens, s.finish_reason) for s in read(tmp_path, row)] == [
        ("a", 1.0, 3, "stop"),
        ("b", 0.0, 4, "length"),
        ("", None, None, "stop"),
    ]


@pytest.mark.parametrize(
    ("recorded", "kept"),
    [
        ("content_filter", "content_filter"),
        ("MAX_TOKENS", "MAX_TOKENS"),
        ("tool_calls", "tool_calls"),
        ({"type": "length", "length": 16}, "length"),
        (None, "stop"),
        ("", "stop"),
        (float("nan"), "stop"),
    ],
)
def test_a_finish_reason_is_kept_as_it_comes_and_without_one_the_text_ended(tmp_path, recorded, kept):
    assert [s.finish_reason for s in read(tmp_path, {"response": "a", "finish_reason": recorded})] == [kept]


def test_a_list_under_another_name_is_taken_apart_too(tmp_path):
    row = {"responses": ["a", "b"], "scores": [0.5, 1.0], "lengths": [1, 2]}
    found = read(tmp_path, row, response="responses", label="scores", generated_tokens="lengths")
    assert [(s.text, s.label, s.generated_tokens) for s in found] == [("a", 0.5, 1), ("b", 1.0, 2)]


@pytest.mark.parametrize("path", ["choices.text", "choices.0.text", "a.b.c", "dots.in.a.name.deep"])
def test_a_path_leads_into_nested_fields(tmp_path, path):
    row = {
        "choices": [{"text": "a"}, {"text": "b"}],
        "a": {"b": {"c": "a"}},
        "dots.in": {"a.name": {"deep": "a"}},
    }
    found = read(tmp_path, row, response=path)
    assert [s.text for s in found] == (["a", "b"] if path == "choices.text" else ["a"])


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ({"response": {"said": "a", "tokens": 1}}, "response is an object that has said, tokens: name the text in it"),
        ({"response": ["a", {"said": "b"}]}, "response number 2 is an object that has said: name the text in it, as in --field response=response.NAME"),
        ({"response": ["a", ["b"]]}, "response number 2 is a list, and a text is wanted"),
        ({"response": None}, "response is null, and a text is wanted. A model that wrote nothing has an empty text"),
        ({"response": True}, "response is true or false"),
        ({"response": 7}, "response is a number"),
        ({"response": float("nan")}, "response is a number"),
        ({"response": ["a", "b"], "label": [1]}, "there are 2 responses and 1 of label"),
        ({"response": ["a"], "generated_tokens": [1, 2]}, "there are 1 responses and 2 of generated_tokens"),
        ({"response": "a", "finish_reason": ["stop"]}, "finish_reason is a list of 1, and response is one text"),
        ({"response": "a", "problem": ["1", "+"]}, "problem is a list, and a text is wanted"),
        ({"response": "a", "problem_id": True}, "problem_id is true or false: a text or a whole number is wanted"),
        ({"response": "a", "problem_id": [1]}, "problem_id is a list"),
        ({"response": "a", "answer": {"value": 2}}, "answer is an object that has value"),
        ({"response": "a", "candidates": ["x", {"text": "y"}]}, "one of candidates is an object"),
        ({"response": "a", "candidates": [1]}, "one of candidates is a number"),
        ({"response": "a", "finish_reason": 7}, "finish_reason is a number, and a text is wanted"),
        ({"response": "a", "generated_tokens": 1.5}, "generated_tokens is '1.5', which is no number of tokens"),
    ],
)  # fmt: skip
def test_what_is_no_text_is_refused_with_its_row_and_what_would_be_right(tmp_path, row, why):
    with pytest.raises(ImportFileError, match=rf"recorded.jsonl, row 2: {re.escape(why)}"):
        read(tmp_path, {"response": "fine"}, row)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=200, deadline=None)
@given(value=JSON)
def test_a_response_is_its_texts_or_refused_and_never_another_text(tmp_path_factory, value):
    texts = value if isinstance(value, list) else [value]
    if all(isinstance(text, str) for text in texts):
        assert [s.text for s in read(tmp_path_factory.mktemp("any"), {"response": value})] == texts
    else:
        with pytest.raises(ImportFileError, match="row 1"):
            read(tmp_path_factory.mktemp("any"), {"response": value})


def test_an_empty_text_is_a_sample_and_an_empty_list_is_counted(tmp_path):
    reading = Reading()
    path = lines(tmp_path, {**QUESTION, "response": ""}, {**QUESTION, "response": []})
    assert [s.text for s in read_recorded(path, "rows", reading)] == [""]
    assert reading.left_out == {"rows with an empty list of responses": 1}


def test_a_list_that_was_written_as_text_is_told_of(tmp_path):
    reading = Reading()
    texts = ["['a', 'b']", '["a"]', "[1, 2]", "the list ['a', 'b']"]
    path = lines(tmp_path, *({**QUESTION, "response": text} for text in texts))
    assert [s.text for s in read_recorded(path, "rows", reading)] == texts
    assert list(reading.notes.values()) == [2]


def test_an_id_that_a_table_lacks_is_no_id(tmp_path):
    (first, second) = read(
        tmp_path, {"response": "a", "problem_id": 1.0}, {"response": "a", "problem_id": float("nan")}
    )
    assert (first.problem_id, second.problem_id) == ("1", "1 + 1?")


def test_one_figure_for_several_responses_is_not_read_and_it_is_said(tmp_path):
    reading = Reading()
    row = {**QUESTION, "response": ["a", "b"], "score": 0.5, "generated_tokens": 9}
    found = list(read_recorded(lines(tmp_path, row), "rows", reading))
    assert [(s.label, s.generated_tokens) for s in found] == [(None, None)] * 2
    assert sorted(reading.notes) == [
        f"rows have one {name} for several responses: it was not read" for name in ("generated_tokens", "score")
    ]


def test_csv_is_read_by_its_header_and_its_empty_cells_are_no_values(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text(
        "problem_id,problem,answer,response,candidates,generated_tokens,label\n"
        ',1 + 1?,007,"It is\n2",,12,true\n'
        '3,"1, 2?",1,,"[""a"", ""b""]",,\n'
    )
    assert list(read_recorded(path, "rows", {})) == [
        Recorded("1 + 1?", "1 + 1?", "007", "It is\n2", generated_tokens=12, label=1.0),
        Recorded("3", "1, 2?", "1", "", candidates=("a", "b")),
    ]


@pytest.mark.parametrize(
    ("value", "label"),
    [(True, 1), (False, 0), (1, 1), (0.25, 0.25), ("Correct", 1), ("false", 0), ("1", 1), ("", None), (None, None)],
)
@pytest.mark.parametrize("name", ["label", "correct", "is_correct", "acc"])
def test_a_label_of_someone_else_is_read(tmp_path, name, value, label):
    assert [s.label for s in read(tmp_path, {"response": "a", name: value})] == [label]


def test_a_label_that_is_no_verdict_is_refused_where_it_was_named_and_else_not_read(tmp_path):
    row = {**QUESTION, "response": "a", "label": "algebra"}
    with pytest.raises(ImportFileError, match="row 1: label is 'algebra', which is neither a verdict nor a number"):
        read(tmp_path, row, label="label")
    reading = Reading()
    assert [s.label for s in read_recorded(lines(tmp_path, row), "rows", reading)] == [None]
    assert reading.notes == {"labels that are neither a verdict nor a number were not read": 1}


def test_a_field_that_no_row_has_is_named(tmp_path):
    path = lines(tmp_path, {**QUESTION, "response": "a"})
    with pytest.raises(ImportFileError, match="--field label=correkt: no row has it"):
        read_files([path], "rows", Reading({"label": "correkt"}))


def test_problems_of_a_second_file_are_found_by_their_ids(tmp_path):
    (tmp_path / "problems.csv").write_text("id,problem,answer\n1,1 + 1?,2\n")
    reading = Reading(problems=read_problems(tmp_path / "problems.csv"))
    assert [
        (s.problem, s.answer)
        for s in read_recorded(lines(tmp_path, {"problem_id": 1, "response": "a"}), "rows", reading)
    ] == [("1 + 1?", "2")]
    with pytest.raises(ImportFileError, match="row 1: problem 2 is not in the file of problems"):
        list(read_recorded(lines(tmp_path, {"problem_id": 2, "response": "a"}), "rows", reading))
    (tmp_path / "problems.csv").write_text("id,problem,answer\n1,1 + 1?,2\n1,1 + 1?,2\n")
    with pytest.raises(ImportFileError, match="row 2: problem '1' stands there twice"):
        read_problems(tmp_path / "problems.csv")


@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=50, deadline=None)
@given(text=st.text() | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps) | st.dictionaries(st.sampled_from(["doc", "resps", "problem", "answer", "response", "model_response"]), st.none() | st.text() | st.lists(st.integers())).map(json.dumps))  # fmt: skip
def test_whatever_a_file_holds_is_read_or_refused_by_name(tmp_path_factory, form, text):
    path = tmp_path_factory.mktemp("fuzz") / "recorded.jsonl"
    path.write_text(text, encoding="utf-8", errors="surrogatepass")
    with suppress(ImportFileError):
        list(read_recorded(path, form, {}))


def test_a_refinement_brings_the_candidates_it_was_shown(tmp_path):
    refinement = Recorded("p", "1 + 1?", "2", "refined", candidates=("a", "b"))
    other = Recorded("p", "1 + 1?", "2", "of three", candidates=("a", "b", "c"))
    made = write_recorded([refinement, other], tmp_path, k=2)
    assert (made.samples, made.refinements, made.left_out) == (2, 1, {"refinements of 3 candidates, not 2": 1})
    texts = {(row["prompt_id"], row["sample_index"]): row["text"] for row in read_samples(tmp_path)}
    assert texts == {("p", 0): "a", ("p", 1): "b", ("p/g0", 0): "refined"}


def test_a_problem_named_like_anothers_refinement_is_refused(tmp_path):
    with pytest.raises(ImportFileError, match="problem p/g0 has the name of a refinement of problem p"):
        write_recorded([Recorded("p", "q", "1", "a"), Recorded("p/g0", "r", "1", "a")], tmp_path, k=1)


def test_a_problem_with_two_answers_is_refused(tmp_path):
    with pytest.raises(ImportFileError, match="problem p has two texts or answers"):
        write_recorded([Recorded("p", "q", "1", "a"), Recorded("p", "q", "2", "b")], tmp_path, k=1)


def test_the_engine_gives_what_is_recorded_and_says_what_is_not(tmp_path):
    write_recorded(pool(2, 2), tmp_path, k=2)
    engine = RecordedEngine(tmp_path)
    wanted = [Request(f"model/bench/p{p}", [], (0, 1, 2), (5, 6, 7)) for p in range(2)]
    drawn = engine.sample(wanted, SETTINGS)
    found = [*next(drawn), *next(drawn)]
    with pytest.raises(EngineError, match=r"2 samples are not recorded in .*, first p0 \(2\)"):
        next(drawn)
    assert [(s.request_id, s.index, s.text) for s in found] == [
        (f"model/bench/p{p}", i, f"text {p}.{i}") for p in range(2) for i in range(2)
    ]
