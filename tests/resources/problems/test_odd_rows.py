"""Rows as people have them: lists a problem, objects and chats in them, columns with other names, and several that fit."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resources.problems.forms.columns import NAMES, told_columns, unread_columns
from resources.problems.forms.fields import Reading
from resources.problems.importers import read_files, read_recorded
from resources.problems.recorded_samples import ImportFileError, Recorded

QUESTION = {"problem": "1 + 1?", "answer": 2}


def read(folder: Path, *rows: dict, reading: Reading | None = None) -> list[Recorded]:
    path = folder / "recorded.jsonl"
    path.write_text("\n".join(json.dumps({**QUESTION, **row}) for row in rows))
    return list(read_recorded(path, "rows", reading or Reading()))


def turn(role: str, content: object, **more: object) -> dict:
    return {"role": role, "content": content, **more}


def chat(*contents: str | None) -> list[dict]:
    return [turn(role, content) for role, content in zip(("user", "assistant") * 2, contents, strict=False)]


@pytest.mark.parametrize(
    "row",
    [
        {"responses": ["a", "b"]},
        {"responses": '["a", "b"]'},
        {"generations": [{"text": "a"}, {"text": "b"}]},
        {"outputs": [{"index": 0, "text": "a", "token_ids": [1, 2]}, {"index": 1, "text": "b", "token_ids": [1]}]},
        {"completions": [chat("1 + 1?", "a"), chat("1 + 1?", "b")]},
        {"samples": [turn("assistant", "a"), turn("assistant", "b")]},
        {"output": [{"message": turn("assistant", "a")}, {"message": turn("assistant", [{"type": "text", "text": "b"}])}]},
        {"model_outputs": [{"content": "a"}, "b"]},
        {"response": [{"text": "a", "output": None}, {"text": "b", "output": "b"}]},
    ],
)  # fmt: skip
def test_each_shape_of_a_list_is_its_samples(tmp_path, row):
    assert [sample.text for sample in read(tmp_path, row)] == ["a", "b"]


def test_what_stands_in_a_samples_own_object_is_its_own(tmp_path):
    row = {
        "outputs": [
            {"text": "a", "score": 0.5, "is_correct": True, "finish_reason": "length", "tokens": 3},
            {"text": "b", "score": -1, "is_correct": False, "finish_reason": "stop", "tokens": None},
        ]
    }
    assert [(s.text, s.score, s.label, s.finish_reason, s.generated_tokens) for s in read(tmp_path, row)] == [
        ("a", 0.5, 1.0, "length", 3),
        ("b", -1.0, 0.0, "stop", None),
    ]


def test_the_tokens_themselves_are_no_number_of_them(tmp_path):
    row = {"outputs": [{"text": "a", "tokens": [5, 6], "num_tokens": 3}]}
    assert [s.generated_tokens for s in read(tmp_path, row)] == [3]
    assert [s.generated_tokens for s in read(tmp_path, {"outputs": [{"text": "a", "tokens": [5, 6]}]})] == [None]


def test_the_ids_of_the_tokens_are_as_many_as_they_are(tmp_path):
    row = {"outputs": [{"text": "a", "token_ids": [5, 6]}, {"text": "", "token_ids": []}]}
    assert [s.generated_tokens for s in read(tmp_path, row)] == [2, 0]


@pytest.mark.parametrize(
    "row",
    [
        {"responses": ["a", "b"], "prompt_tokens": 7},
        {"responses": ["a", "b"], "input_tokens": [7, 7]},
        {"outputs": [{"text": "a"}, {"text": "b"}], "prompt_token_ids": [1, 2, 3, 4, 5, 6, 7]},
        {"outputs": [{"text": "a", "prompt_token_ids": [0] * 7}, {"text": "b", "prompt_token_ids": [1] * 7}]},
    ],
)
def test_a_rows_prompt_is_that_of_each_of_its_samples(tmp_path, row):
    assert [sample.prompt_tokens for sample in read(tmp_path, row)] == [7, 7]


def test_the_tokens_of_a_prompt_in_a_column_for_their_number_are_said_and_not_read(tmp_path):
    reading = Reading()
    row = {"responses": ["a", "b"], "input_tokens": [1, 2, 3]}
    assert [sample.prompt_tokens for sample in read(tmp_path, row, reading=reading)] == [None, None]
    assert reading.notes == {"rows have a list of input_tokens that is not one of each response: it was not read": 1}
    with pytest.raises(ImportFileError, match="there are 2 responses and 3 of input_tokens"):
        read(tmp_path, row, reading=Reading({"prompt_tokens": "input_tokens"}))


def test_a_chat_is_the_models_last_message(tmp_path):
    reading = Reading()
    rows = [{"messages": chat("1 + 1?", "a")}, {"response": chat("1 + 1?", "a", "sure?", "b")}]
    assert [sample.text for sample in read(tmp_path, *rows, reading=reading)] == ["a", "b"]
    assert reading.notes == {"chats have several turns of the model: the last one is the sample": 1}
    with pytest.raises(ImportFileError, match="row 1: response is a chat whose last message is of the role 'user'"):
        read(tmp_path, {"response": chat("1 + 1?", "a", "sure?")})


def test_a_message_without_content_is_an_empty_text_and_it_is_said(tmp_path):
    reading = Reading()
    assert [s.text for s in read(tmp_path, {"response": chat("1 + 1?", None)}, reading=reading)] == [""]
    assert reading.notes == {"responses without content (a refusal, or a call of a tool) are empty texts": 1}


def test_an_object_with_two_texts_names_both_and_the_option_that_decides(tmp_path):
    row = {"outputs": [{"text": "a", "output": "b"}]}
    why = r"row 1: outputs.text and outputs.output could each be the response, .* --field response=outputs.text"
    with pytest.raises(ImportFileError, match=why):
        read(tmp_path, row)
    assert [s.text for s in read(tmp_path, row, reading=Reading({"response": "outputs.output"}))] == ["b"]


PLURALS = {"label": "labels", "score": "scores", "finish_reason": "finish_reasons", "generated_tokens": "token_counts"}
SAMPLES = st.lists(
    st.fixed_dictionaries(
        {
            "response": st.text(st.characters(exclude_categories=["Cs"]), max_size=4),
            "label": st.sampled_from([True, False, None]),
            "score": st.none() | st.floats(-2, 2),
            "finish_reason": st.sampled_from(["stop", "length"]),
            "generated_tokens": st.none() | st.integers(0, 9),
        }
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=60, deadline=None)
@given(samples=SAMPLES, name=st.sampled_from([name for name in NAMES["response"] if name.endswith("s")]))
def test_lists_beside_one_another_and_objects_are_the_same_as_a_row_a_sample(tmp_path_factory, samples, name):
    folder = tmp_path_factory.mktemp("rows")
    flat = read(folder, *samples)
    columns = {PLURALS[field]: [sample[field] for sample in samples] for field in PLURALS}
    assert read(folder, {name: [sample["response"] for sample in samples], **columns}) == flat
    assert read(folder, {name: samples}) == flat


@settings(max_examples=50, deadline=None)
@given(responses=st.integers(0, 4), others=st.integers(0, 4), field=st.sampled_from(list(PLURALS)))
def test_lists_of_unequal_length_are_refused_by_name(tmp_path_factory, responses, others, field):
    value = "stop" if field == "finish_reason" else 1
    row = {"responses": ["a"] * responses, PLURALS[field]: [value] * others}
    folder = tmp_path_factory.mktemp("rows")
    if responses == others:
        assert len(read(folder, row)) == responses
    else:
        with pytest.raises(
            ImportFileError, match=f"row 2: there are {responses} responses and {others} of {PLURALS[field]}"
        ):
            read(folder, {"responses": ["fine"]}, row)


@pytest.mark.parametrize(
    ("row", "field", "names"),
    [
        ({"response": "a", "completion": "b"}, "response", ("response", "completion")),
        ({"response": "", "output": "b"}, "response", ("response", "output")),
        ({"response": "a", "gold": 3}, "answer", ("answer", "gold")),
        ({"response": "a", "question": "2 + 2?"}, "problem", ("problem", "question")),
        ({"response": "a", "correct": True, "acc": 0}, "label", ("correct", "acc")),
        ({"response": "a", "score": 1, "reward": 2}, "score", ("score", "reward")),
        ({"outputs": [{"text": "a", "correct": True}], "labels": [0]}, "label", ("outputs.correct", "labels")),
    ],
)
def test_columns_that_could_each_be_a_field_are_refused_and_an_option_decides(tmp_path, row, field, names):
    one, other = names
    why = f"row 1: {one} and {other} could each be the {field}, and differ: say which is, as in --field {field}={one}"
    with pytest.raises(ImportFileError, match=why):
        read(tmp_path, row)
    for name in names:
        assert len(read(tmp_path, row, reading=Reading({field: name}))) == 1


@pytest.mark.parametrize(
    "row",
    [
        {"response": "a", "completion": "a"},
        {"response": "a", "completion": None},
        {"response": "a", "samples": 8},
        {"response": "a", "gold": 2.0},
        {"response": "a", "correct": True, "acc": 1.0, "label": ""},
    ],
)
def test_columns_that_hold_the_same_or_nothing_are_in_nobodys_way(tmp_path, row):
    (sample,) = read(tmp_path, row)
    assert (sample.text, sample.answer) == ("a", "2")
    assert sample.label == (1.0 if "acc" in row else None)


def test_what_does_not_fit_is_named_by_its_own_column(tmp_path):
    path = tmp_path / "rows.json"
    path.write_text(json.dumps([{"question": "?", "ground_truth": {"value": 2}, "response": "a"}]))
    why = "row 1: ground_truth is an object that has value: name the text in it, as in --field answer=ground_truth.NAME"
    with pytest.raises(ImportFileError, match=why):
        list(read_recorded(path, "rows", {}))


def test_a_column_that_is_named_for_one_field_is_no_other(tmp_path):
    (first, second) = read(tmp_path, {"candidates": ["a", "b"]}, reading=Reading({"response": "candidates"}))
    assert (first.text, second.text, first.candidates) == ("a", "b", ())
    (sample,) = read(tmp_path, {"response": "a", "label": 0.5}, reading=Reading({"score": "label"}))
    assert (sample.label, sample.score) == (None, 0.5)


def test_columns_that_only_look_like_a_field_are_counted_and_not_read(tmp_path):
    reading = Reading()
    (sample,) = read(tmp_path, {"response": "a", "num_tokens": "many", "score": "high"}, reading=reading)
    assert (sample.score, sample.generated_tokens) == (None, None)
    assert sorted(reading.notes) == [
        "num_tokens are no numbers of tokens: they were not read",
        "scores that are no numbers were not read",
    ]
    reading = Reading()
    read(tmp_path, {"response": "a", "rewards": [0.1, 0.9]}, reading=reading)
    assert list(reading.notes) == ["rows have a list of rewards for one response: it was not read"]


def test_what_was_read_under_another_name_and_what_was_not_read_is_told(tmp_path):
    reading = Reading({"problem": "meta.text"})
    outputs = [{"text": "a", "correct": 1}, {"text": "b", "correct": 0}]
    row = {"meta": {"text": "1 + 1?"}, "gold": 2, "outputs": outputs, "seed": 3, "topic": "sums", "score": 0.5}
    path = tmp_path / "recorded.jsonl"
    path.write_text(json.dumps(row))
    assert len(list(read_recorded(path, "rows", reading))) == 2
    assert told_columns(reading) == "gold as answer; outputs as response; outputs.correct as label"
    assert unread_columns(reading) == ["seed", "topic", "score"]


@pytest.mark.parametrize(
    ("scores", "labels", "found", "note"),
    [
        ([1, 0], [None, None], [(1.0, None), (0.0, None)], "scores are 0 or 1 alone: they were read as labels"),
        ([1, 0], [1, None], [(1.0, None), (None, None)], "scores are 0 or 1 alone, and labels are there: the scores were not read"),
        ([1, 0.5], [1, None], [(1.0, 1.0), (None, 0.5)], None),
    ],
)  # fmt: skip
def test_scores_of_0_and_1_alone_are_verdicts(tmp_path, scores, labels, found, note):
    path = tmp_path / "recorded.jsonl"
    rows = [{**QUESTION, "response": "a", "score": s, "label": t} for s, t in zip(scores, labels, strict=True)]
    path.write_text("\n".join(map(json.dumps, rows)))
    reading = Reading()
    (file,) = read_files([path], "rows", reading)
    assert [(sample.label, sample.score) for sample in file.samples] == found
    assert list(reading.notes) == ([note] if note else [])
    (file,) = read_files([path], "rows", Reading({"score": "score"}))
    assert [sample.score for sample in file.samples] == scores


def test_a_score_that_was_named_and_is_none_is_refused(tmp_path):
    for value in ("high", True, float("inf"), [1]):
        with pytest.raises(ImportFileError, match="row 1: score is"):
            read(tmp_path, {"response": ["a"], "rm": [value]}, reading=Reading({"score": "rm"}))


@pytest.mark.parametrize(
    ("written", "gold"),
    [
        ("42", "42"),
        ("3.0", "3"),
        ("0.1", "0.1"),
        ("12345678901234567890123", "12345678901234567890123"),
        ("3.14159265358979323846264", "3.14159265358979323846264"),
        ("1e-7", "0.0000001"),
        ("true", "True"),
        ('["a", 2.50, 3]', "a, 2.5, 3"),
        ("null", ""),
        ('"007"', "007"),
    ],
)
def test_a_gold_is_read_as_it_is_written(tmp_path, written, gold):
    (tmp_path / "rows.json").write_text(f'[{{"problem": "?", "response": "a", "answer": {written}}}]')
    assert [s.answer for s in read_recorded(tmp_path / "rows.json", "rows", {})] == [gold]
