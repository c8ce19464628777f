"""Confidences of tokens from the log-probabilities that people have: every form, and what is none of them."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resources.engines.served import answers
from resources.problems.forms.fields import Reading
from resources.problems.forms.logprobs import DrawnTokensAloneError, confidences
from resources.problems.importers import read_recorded
from resources.problems.recorded_samples import ImportFileError, Recorded

TOP = 3
likeliest = st.lists(st.floats(-30, 0), min_size=TOP, max_size=TOP)
texts = st.lists(likeliest, min_size=1, max_size=12)


def stored(places: list[list[float]]) -> list[int]:
    """Return what DeepConf's formula gives, as the sample log stores it."""
    return [round(1000 * -sum(sorted(place, reverse=True)) / len(place)) for place in places]


def chat(places: list[list[float]]) -> dict:
    def token(logprob: float) -> dict:
        return {"token": "x", "logprob": logprob, "bytes": None}

    return {"content": [{**token(place[0]), "top_logprobs": [token(one) for one in place]} for place in places]}


@given(texts)
def test_every_form_gives_the_mean_of_the_likeliest_as_sampling_stores_it(places):
    by_name = [{f"t{number}": one for number, one in enumerate(place)} for place in places]
    completion = {
        "tokens": ["x"] * len(places),
        "token_logprobs": [place[0] for place in places],
        "top_logprobs": by_name,
    }
    forms = [
        places,
        chat(places),
        chat(places)["content"],
        by_name,
        completion,
        json.dumps(places),
        json.dumps(chat(places)),
    ]
    for form in forms:
        found = confidences(form, "logprobs")
        assert found.likeliest == TOP
        assert list(found.stored) == pytest.approx(stored(places), abs=1)
    served = answers.confidences({"logprobs": chat(places)})
    assert list(found.stored) == pytest.approx([1000 * one for one in served], abs=0.51)


def test_the_drawn_token_that_a_server_adds_does_not_count():
    places = [[-0.1, -2.0], [-0.2, -1.0], [-0.3, -1.5, -9.0]]
    assert list(confidences(places, "logprobs").stored) == stored([place[:2] for place in places])
    assert confidences([{"a": -0.1, "b": -2.0, "c": None}], "logprobs").likeliest == 2  # filled in by Parquet


@pytest.mark.parametrize("nothing", [None, "", [], float("nan"), {"content": None}, {"content": []}, "null"])
def test_where_nothing_was_recorded_there_are_none(nothing):
    assert confidences(nothing, "logprobs") is None


DRAWN_ALONE = [
    [-0.1, -0.2],
    [{"token": "a", "logprob": -0.1}],
    {"content": [{"token": "a", "logprob": -0.1, "top_logprobs": []}]},
    {"tokens": ["a"], "token_logprobs": [-0.1], "top_logprobs": None},
]


def rows(folder: Path, *logprobs: object, **columns: object) -> Path:
    path = folder / "rows.jsonl"
    sample = {"problem": "1 + 1?", "answer": 2, "response": "\\boxed{2}"}
    path.write_text("\n".join(json.dumps({**sample, "logprobs": one, **columns}) for one in logprobs))
    return path


def read(path: Path, reading: Reading) -> list[Recorded]:
    return list(read_recorded(path, "rows", reading))


@pytest.mark.parametrize("alone", DRAWN_ALONE)
def test_the_drawn_tokens_alone_are_not_how_sure_a_model_was(tmp_path, alone):
    with pytest.raises(DrawnTokensAloneError):
        confidences(alone, "logprobs")
    path, reading = rows(tmp_path, [[-0.1, -0.2]], alone), Reading()
    assert [sample.confidences is None for sample in read(path, reading)] == [False, True]
    assert reading.notes == {"samples have the log-probability of each drawn token alone, which was not read": 1}
    with pytest.raises(
        ImportFileError, match=r"rows.jsonl, row 2: logprobs has the log-probability of each drawn token"
    ):
        read(path, Reading({"logprobs": "logprobs"}))


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ([[-0.1, -0.2], [-0.1, 0.3]], "logprobs, place 2 holds 0.3: a log-probability is 0 or below"),
        ([[-0.1, "x"]], "logprobs, place 1 holds 'x', which is no log-probability"),
        ([[-0.1, True]], "logprobs, place 1 holds 'True', which is no log-probability"),
        ([[-0.1, float("-inf")]], "logprobs, place 1 holds '-inf'"),
        ([[-0.1, None]], "logprobs, place 1 holds 'None'"),
        ([[-0.1], None], "logprobs, place 2 holds 'None'"),
        ([[-0.1, -0.2], -0.3], "logprobs, place 2 has no likeliest tokens, and others have"),
        ([[[-0.1]]], "logprobs, place 1 holds '[-0.1]'"),
        ({"mean": -0.1}, "logprobs is an object that has mean: a list with the likeliest tokens in each place"),
        ("high", "logprobs is 'high': a list with the likeliest tokens in each place"),
        (7, "logprobs is '7': a list with the likeliest tokens in each place"),
    ],
)
def test_what_is_no_list_of_log_probabilities_is_refused_with_its_row_and_place(tmp_path, wrong, told):
    with pytest.raises(ImportFileError, match=rf"rows.jsonl, row 2: {re.escape(told)}"):
        read(rows(tmp_path, [[-0.1, -0.2]], wrong), Reading())


def test_each_of_several_responses_has_its_own(tmp_path):
    places = [[[-1.0, -2.0]], None, [[-3.0, -4.0], [-0.0, -1.0]]]
    found = read(rows(tmp_path, places, response=["a", "b", "c"]), Reading())
    assert [sample.confidences and list(sample.confidences.stored) for sample in found] == [[1500], None, [3500, 500]]
    with pytest.raises(ImportFileError, match="row 1: there are 2 responses and 3 of logprobs"):
        read(rows(tmp_path, places, response=["a", "b"]), Reading())


def test_another_number_of_tokens_than_was_recorded_is_counted(tmp_path):
    reading = Reading()
    read(rows(tmp_path, [[-1.0]], [[-1.0], [-2.0]], generated_tokens=2), reading)
    assert reading.notes == {"samples have another number of log-probabilities than of generated_tokens": 1}


def test_a_batch_has_them_beside_each_choice(tmp_path):
    places = [[[-1.0, -2.0]], [[-3.0, -5.0]]]
    choices = [{"message": {"content": "a"}, "logprobs": chat(one)} for one in places]
    path = tmp_path / "batch.jsonl"
    path.write_text(json.dumps({"custom_id": "p", "response": {"status_code": 200, "body": {"choices": choices}}}))
    found = list(read_recorded(path, "openai-batch", Reading(problems={"p": ("1 + 1?", "2")})))
    assert [list(sample.confidences.stored) for sample in found] == [[1500], [4000]]
