"""What servers send: each form of an answer becomes one text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resources.engines.served.answers import AnswerError, shared, usage, written
from tests.resources.engines.served.played import chat

END = "</think>"
WHOLE = "so 2\n</think>\n\nThe answer is 2"

THINKING_APART = {
    "DeepSeek, SGLang, older vLLM": {"reasoning_content": "so 2"},
    "vLLM, OpenRouter": {"reasoning": "so 2"},
    "both names at once": {"reasoning_content": "so 2", "reasoning": "so 2"},
    "Ollama": {"thinking": "so 2"},
    "parts in the field": {"reasoning": [{"type": "text", "text": "so "}, {"type": "text", "text": "2"}]},
    "OpenRouter, MiniMax": {"reasoning": None, "reasoning_details": [{"type": "reasoning.text", "text": "so 2"}]},
    "a summary": {"reasoning_details": [{"type": "reasoning.summary", "summary": "so 2"}]},
    "LiteLLM": {"thinking_blocks": [{"type": "thinking", "thinking": "so 2", "signature": "…"}]},
    "Copilot": {"reasoning_text": "so 2"},
}


def text(*contents, apart=False, thinking_end=END, reason="stop", **message):
    (choice,) = written(chat(*contents, reason=reason, **message)[1])
    return choice.text(thinking_end, apart)


@pytest.mark.parametrize("fields", THINKING_APART.values(), ids=THINKING_APART.keys())
def test_thinking_in_a_field_of_its_own_stands_before_the_end_marker(fields):
    assert text("The answer is 2", **fields) == WHOLE


PARTS = {
    "Mistral": [
        {"type": "thinking", "thinking": [{"type": "text", "text": "so 2"}]},
        {"type": "text", "text": "The answer is 2"},
    ],
    "Anthropic": [
        {"type": "thinking", "thinking": "so 2", "signature": "…"},
        {"type": "text", "text": "The answer is 2"},
    ],
    "OpenAI": [
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "so 2"}]},
        {"type": "output_text", "text": "The answer is 2"},
    ],
    "Gemini": [{"text": "so 2", "thought": True}, {"text": "The answer is 2"}],
    "by its name": [
        {"type": "reasoning_content", "reasoning_content": "so 2"},
        {"type": "text", "text": {"value": "The answer is 2"}},
    ],
}


@pytest.mark.parametrize("parts", PARTS.values(), ids=PARTS.keys())
def test_content_as_a_list_of_parts_is_read(parts):
    assert text(parts) == WHOLE


def test_parts_of_text_are_joined_and_pictures_left_out():
    parts = [{"type": "text", "text": "a "}, {"type": "image_url", "image_url": {"url": "x"}}, "b", {"text": " c"}]
    assert text(parts, thinking_end=None) == "a b c"


def test_thinking_within_the_text_stays_as_it_came():
    assert text("<think>so 2</think>\n2") == "<think>so 2</think>\n2"


def test_thinking_that_never_ends_gets_no_marker():
    assert text(None, reasoning="so 2, or", reason="length") == "so 2, or"
    assert text("", reasoning="so 2, or", reason="length") == "so 2, or"


def test_of_a_server_that_sends_thinking_apart_a_text_alone_is_an_answer():
    assert text("2", apart=True) == "</think>\n\n2"
    assert text("2", apart=False) == "2"
    assert text("2", apart=True, thinking_end=None) == "2"


def test_thinking_that_a_server_counts_and_hides_leaves_an_answer():
    counted = {"completion_tokens": 90, "completion_tokens_details": {"reasoning_tokens": 88}}
    (choice,) = written(chat("2", usage=counted)[1])
    assert choice.text(END, apart=False) == "</think>\n\n2"


@pytest.mark.parametrize(
    "fields",
    [
        {"content": [{"type": "redacted_thinking", "data": "…"}, {"type": "text", "text": "2"}]},
        {"content": "2", "reasoning_details": [{"type": "reasoning.encrypted", "data": "…"}]},
    ],
)
def test_of_thinking_that_comes_encrypted_an_answer_is_left(fields):
    content = fields.pop("content")
    assert text(content, **fields) == "</think>\n\n2"


def test_thinking_that_ended_without_an_answer_is_closed_whatever_its_end_is_called():
    assert {text(None, reasoning="so 2", reason=reason) for reason in ("stop", "eos", "STOP", "end_turn")} == {
        "so 2\n</think>"
    }
    assert {text(None, reasoning="so 2", reason=reason) for reason in ("length", "MAX_TOKENS", "abort")} == {"so 2"}


@given(st.text(), st.text(min_size=1))
def test_what_follows_the_last_marker_is_the_answer(thinking, answer):
    whole = text(answer, reasoning=thinking, apart=True)
    assert whole.rpartition(END)[2].strip() == answer.rpartition(END)[2].strip()


@pytest.mark.parametrize("reason", ["stop", "length", "content_filter", "error", "abort", "tool_calls", "eos_token"])
def test_finish_reasons_are_kept_as_they_come(reason):
    assert written(chat("a", reason=reason)[1])[0].finish_reason == reason


def test_a_missing_finish_reason_is_unknown_and_a_refusal_is_one():
    assert written(chat("a", reason=None)[1])[0].finish_reason == "unknown"
    (choice,) = written(chat(None, refusal="I cannot help")[1])
    assert (choice.content, choice.finish_reason) == ("I cannot help", "refusal")
    (choice,) = written(chat([{"type": "refusal", "refusal": "I cannot help"}])[1])
    assert (choice.content, choice.finish_reason) == ("I cannot help", "refusal")


def test_a_finish_reason_that_is_an_object_is_its_type():
    assert written(chat("a", reason={"type": "length", "length": 9})[1])[0].finish_reason == "length"


BOOM = {"message": "boom", "code": 502}


def test_a_text_that_comes_with_an_error_is_kept_and_did_not_end_by_itself():
    for body in (
        {"choices": [{"message": {"content": "a"}, "finish_reason": "stop", "error": BOOM}]},
        {"choices": [{"message": {"content": "a"}, "finish_reason": "stop"}], "error": BOOM},
    ):
        (choice,) = written(body)
        assert (choice.content, choice.finish_reason) == ("a", "error")


@pytest.mark.parametrize("fine", [None, "", {}, {"code": 0, "message": "success"}, {"message": "", "code": None}])
def test_an_error_field_that_says_that_all_is_well_is_none(fine):
    (choice,) = written({**chat("a")[1], "error": fine})
    assert (choice.content, choice.finish_reason) == ("a", "stop")


@pytest.mark.parametrize("broken", [None, "x", {"message": {"content": ""}, "error": BOOM}])
def test_a_broken_choice_loses_no_other(broken):
    body = chat("a")[1]
    assert [choice.content for choice in written({"choices": [broken, *body["choices"]]})] == ["a"]


@pytest.mark.parametrize(
    ("error", "passing"),
    [
        ({"message": "no such model", "code": 404}, False),
        ({"message": "slow down", "code": 429}, True),
        ({"message": "upstream", "code": "502"}, True),
        ({"message": "busy", "type": "overloaded_error"}, True),
        ({"message": "bad", "type": "invalid_request_error", "code": None}, False),
        ("temporarily unavailable", True),
        ("no such thing", False),
    ],
)
def test_an_error_in_an_answer_says_the_servers_own_words_and_whether_it_may_pass(error, passing):
    with pytest.raises(AnswerError, match=error["message"] if isinstance(error, dict) else error) as told:
        written({"error": error})
    assert told.value.passing is passing


@pytest.mark.parametrize(
    ("body", "said", "passing"),
    [
        ({"object": "error", "message": "too hot", "type": "BadRequestError", "code": 400}, "too hot", False),
        ({"object": "error", "message": "engine is down", "code": 503}, "engine is down", True),
        ({"detail": "no such path"}, "no such path", False),
        ({"detail": [{"loc": ["body", "seed"], "msg": "not permitted"}]}, "body.seed: not permitted", False),
        ({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, "Overloaded", True),
        ({"choices": None, "base_resp": {"status_code": 1008, "status_msg": "no balance"}}, "no balance", False),
        ({"error": [{"message": "bad thing", "code": 400}]}, "bad thing", False),
        ({"error": {"error": {"message": "deep", "code": 400}}}, "deep", False),
        ({"error": {"message": "slow down", "code": 429.0}}, "slow down", True),
        ({"error": {"message": "not in time", "code": "batch_expired"}}, "not in time", True),
    ],
)
def test_an_error_of_every_shape_is_said_in_the_servers_own_words(body, said, passing):
    with pytest.raises(AnswerError) as told:
        written(body)
    assert str(told.value) == f"the server says: {said}"
    assert told.value.passing is passing


@pytest.mark.parametrize(
    "body", [[], "x", {}, {"choices": []}, {"choices": None}, {"choices": "no"}, {"choices": ["a"]}]
)
def test_a_broken_answer_may_pass(body):
    with pytest.raises(AnswerError) as told:
        written(body)
    assert told.value.passing


def test_thinking_counted_beside_the_answer_is_added_to_it():
    assert usage({"usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 95}}).generated == 85
    assert usage({"usage": {"prompt_tokens": 10, "completion_tokens": 85, "total_tokens": 95}}).generated == 85
    assert usage({"usage": {"input_tokens": "10", "output_tokens": 85.0}}).generated == 85
    assert usage({"usage": {"prompt_tokens": 1e400, "completion_tokens": float("nan")}}).generated is None
    assert usage({"usage": None}).generated is None
    assert usage({}).prompt is None


@given(st.integers(0, 10_000), st.lists(st.text(), min_size=1, max_size=8))
def test_the_tokens_of_several_choices_sum_to_what_the_server_counted(total, texts):
    tokens = shared(total, texts, len, [None] * len(texts))
    assert sum(tokens) == total
    assert len(tokens) == len(texts)
    assert min(tokens) >= 0


def test_a_choice_that_the_limit_cut_has_the_limits_tokens_and_the_others_share_the_rest():
    assert shared(30, ["cut off", "ab", "abcd"], len, [24, None, None]) == [24, 2, 4]
    assert shared(48, ["cut off", "this too"], len, [24, 24]) == [24, 24]


@pytest.mark.parametrize(
    ("logprobs", "confidences"),
    [
        ({"content": [{"top_logprobs": [{"logprob": -1.0}, {"logprob": -3}]}, {"top_logprobs": [{"logprob": 0}]}]}, (2.0, 0.0)),
        ({"content": []}, ()),
        ({"content": [{"logprob": -1.0, "top_logprobs": []}]}, None),
        ({"content": None}, None),
        ({"tokens": ["a"], "token_logprobs": [-1.0]}, None),
        (None, None),
    ],
)  # fmt: skip
def test_the_log_probabilities_of_the_likeliest_tokens_say_how_sure_a_model_was(logprobs, confidences):
    _, body = chat("2")
    body["choices"][0]["logprobs"] = logprobs
    (choice,) = written(body)
    assert choice.confidences == confidences
