"""A served model against servers that answer in each of the ways that real ones do."""

import os
import signal
import time

import pytest

from gsr_dagster.experiment.engines import OpenAI
from gsr_dagster.experiment.settings import RolloutSettings
from resources.engines.base import UNASKED, EngineError
from resources.engines.served.door import QUESTION
from resources.engines.served.spending import SpendingLimitError
from tests.resources.engines.served.played import chat, engine, error, models, playing, requests

SETTINGS = RolloutSettings(temperature=0.7, max_new_tokens=100)
END = "</think>"


def drawn(served, asked=None, settings=SETTINGS):
    return [sample for finished in served.sample(asked or requests(1), settings) for sample in finished]


def test_a_reasoning_model_is_read_alike_from_a_field_a_list_and_a_text():
    for message in (
        {"content": "It is 2", "reasoning_content": "so 2"},
        {"content": "It is 2", "reasoning": "so 2"},
        {"content": [{"type": "thinking", "thinking": "so 2"}, {"type": "text", "text": "It is 2"}]},
        {"content": "so 2\n</think>\n\nIt is 2"},
    ):
        content = message.pop("content")
        with playing(lambda _, c=content, m=message: chat(c, **m)) as server:
            (sample,) = drawn(engine(server, thinking_end=END))
            assert (sample.text, sample.generated_tokens) == ("so 2\n</think>\n\nIt is 2", 3)


def test_thinking_that_the_file_does_not_name_is_refused_at_the_door():
    with (
        playing(lambda _: chat("2", reasoning="so")) as server,
        pytest.raises(EngineError, match='thinking_end: "</thi'),
    ):
        drawn(engine(server))
    assert server.samples_asked == []


def test_an_end_of_thinking_that_never_comes_is_said_at_the_door(caplog):
    with playing(lambda _: chat("2")) as server:
        drawn(engine(server, thinking_end=END))
    assert "answered a first question without thinking" in caplog.text


OTHER_LIMIT = "Unsupported parameter: 'max_tokens' is not supported. Use 'max_completion_tokens' instead."
REFUSED = {
    "OpenAI's newer models": ("max_tokens", error(400, OTHER_LIMIT, param="max_tokens")),
    "by parameter": ("seed", error(400, "Unknown field", param="seed")),
    "in words": ("seed", error(400, "seed is not supported")),
    "by a validator": ("n", error(422, "'n' must be 1")),
    "without a name": ("n", error(400, "bad request")),
    "by FastAPI": ("seed", (422, {"detail": [{"loc": ["body", "seed"], "msg": "Extra inputs are not permitted"}]})),
    "as text": ("max_tokens", (400, {"error": "max_tokens is not supported"})),
    "as not allowed": ("max_tokens", error(400, "max_tokens is not allowed for this model")),
    "a limit without a name": ("max_tokens", error(400, "bad request")),
    "with the status 200": ("seed", (200, {"error": {"message": "seed: extra fields not permitted", "code": 400}})),
}


@pytest.mark.parametrize(("name", "refusal"), REFUSED.values(), ids=REFUSED.keys())
def test_a_parameter_that_a_server_refuses_is_left_out_or_named_as_it_wants(name, refusal):
    with playing(lambda body: refusal if name in body else chat("2")) as server:
        assert [s.text for s in drawn(engine(server, n=4), requests(2, 2))] == ["2"] * 4
    assert all(name not in body for body in server.samples_asked)
    assert {body.get("max_tokens", body.get("max_completion_tokens")) for body in server.samples_asked} == {100}


def test_temperature_is_never_left_out():
    with (
        playing(lambda body: error(400, "temperature is not supported", param="temperature")) as server,
        pytest.raises(EngineError, match="temperature is not supported"),
    ):
        drawn(engine(server))


def test_what_is_refused_for_one_prompt_is_a_sample_without_an_answer(caplog):
    def play(body):
        if body["messages"][0]["content"].endswith(" 1"):
            return error(400, "This model's maximum context length is 90 tokens. Please reduce the length.")
        if body["messages"][0]["content"].endswith(" 2"):
            return error(400, "The response was filtered: content management policy", code="content_filter")
        if body["messages"][0]["content"].endswith(" 3"):
            return error(400, "something about this very prompt")
        return chat("2")

    with playing(play) as server:
        served = engine(server)
        samples = {s.request_id: s for s in drawn(served, requests(5))}
        again = drawn(served, [r for r in requests(5) if r.id == "r1"])
    reasons = {name: sample.finish_reason for name, sample in samples.items()}
    assert reasons == {"r0": "stop", "r1": UNASKED, "r2": "content_filter", "r3": UNASKED, "r4": "stop"}
    assert [samples[name].text for name in ("r1", "r2", "r3")] == ["", "", ""]
    assert again[0].finish_reason == UNASKED
    assert "the prompt is not taken" in caplog.text


def test_a_model_that_thinks_at_some_prompts_alone_is_read_from_the_first_that_it_thinks_at():
    def play(body):
        return chat("2", reasoning="so 2") if body["messages"][0]["content"] == "? 0" else chat("2")

    with playing(play) as server:
        served = engine(server, thinking_end=END, concurrency=1)
        assert [s.text for asked in requests(2) for s in drawn(served, [asked])] == [
            "so 2\n</think>\n\n2",
            "</think>\n\n2",
        ]


def test_what_a_server_refuses_of_every_prompt_is_an_error():
    with (
        playing(lambda b: chat("2") if b["messages"] == QUESTION else error(400, "no chats today")) as server,
        pytest.raises(EngineError, match=r"2 of 2 samples .* no chats today"),
    ):
        drawn(engine(server), requests(2))


def test_a_limit_over_the_context_is_lowered_to_what_the_prompt_leaves():
    def play(body):
        if body["messages"] != QUESTION and body["max_tokens"] > 50:
            return error(400, "maximum context length is 60 tokens; you asked for 110", code="context_length_exceeded")
        return chat("2", reason="length")

    for known in ({"max_model_len": 60}, {}):
        with playing(play, models=models(**known)) as server:
            (sample,) = drawn(engine(server))
        assert sample.finish_reason == "length"
        assert 0 < server.samples_asked[-1]["max_tokens"] <= 50


@pytest.mark.parametrize("name", ["max_model_len", "context_length", "context_window", "max_context_length"])
def test_the_context_is_read_from_the_list_of_models(name):
    with playing(lambda _: chat("2"), models=models(**{name: 4096})) as server:
        assert engine(server).context == 4096
        assert engine(server, context=512).context == 512
    with playing(lambda _: chat("2")) as server:
        assert engine(server).context is None


def test_vllm_and_sglang_get_neutral_values_for_what_their_folders_would_set():
    for owner, neutral in (("vllm", True), ("sglang", True), ("openai", False)):
        with playing(lambda _: chat("2"), models=models(owned_by=owner)) as server:
            drawn(engine(server))
        (body,) = server.samples_asked
        assert (body.get("top_k"), body.get("repetition_penalty")) == ((-1, 1.0) if neutral else (None, None))


def test_rollout_settings_and_what_the_file_adds_are_sent():
    settings = RolloutSettings(
        temperature=0.7, max_new_tokens=9, top_k=20, min_p=0.1, repetition_penalty=1.1, stop=("###",)
    )
    with playing(lambda _: chat("2"), models=models(owned_by="vllm")) as server:
        served = engine(
            server,
            extra_body={"provider": {"order": ["a"]}},
            reasoning_effort="low",
            chat_template_kwargs={"enable_thinking": False},
        )
        drawn(served, settings=settings)
    (body,) = server.samples_asked
    sent = {"top_k": 20, "min_p": 0.1, "repetition_penalty": 1.1, "stop": ["###"], "reasoning_effort": "low"}
    sent |= {"provider": {"order": ["a"]}, "chat_template_kwargs": {"enable_thinking": False}}
    assert {name: body[name] for name in sent} == sent


def test_several_samples_share_a_request_where_the_server_draws_them():
    def play(body):
        return chat(
            *(f"said {body['seed'] + i}" for i in range(body.get("n", 1))),
            usage={"prompt_tokens": 5, "completion_tokens": 8},
        )

    with playing(play) as server:
        samples = drawn(engine(server, n=4), requests(1, 6))
    assert [body.get("n", 1) for body in server.samples_asked] in ([4, 2], [2, 4])
    assert sorted(s.index for s in samples) == list(range(6))
    assert all(s.text == f"said {s.seed}" for s in samples)
    assert sum(s.generated_tokens for s in samples) == 16


def test_greedy_samples_are_asked_for_one_by_one():
    with playing(lambda body: chat(*["2"] * body.get("n", 1))) as server:
        drawn(engine(server, n=4), requests(1, 3), RolloutSettings(temperature=0, max_new_tokens=9))
    assert [body.get("n", 1) for body in server.samples_asked] == [1, 1, 1]


def test_choices_that_are_missing_are_asked_for_again_and_those_too_many_left_out(caplog):
    def play(body):
        if body["messages"] == QUESTION:
            return chat("2", "2")
        return chat("a") if body.get("n", 1) > 1 else chat("b", "c")

    with playing(play) as server:
        samples = drawn(engine(server, n=4), requests(1, 2))
    assert sorted((s.index, s.text) for s in samples) == [(0, "a"), (1, "b")]
    assert "left out" in caplog.text


def test_an_answer_without_counts_is_counted_here_and_said(caplog):
    with playing(lambda _: chat("123456", usage={})) as server:
        (sample,) = drawn(engine(server))
    assert (sample.prompt_tokens > 0, sample.generated_tokens) == (True, 2)
    assert "without token counts" in caplog.text


def test_an_error_that_cannot_pass_is_said_once_in_the_servers_words():
    not_for_us = (200, {"error": {"message": "not for this key", "code": 403}})
    with (
        playing(lambda body: chat("2") if body["messages"] == QUESTION else not_for_us) as server,
        pytest.raises(EngineError, match="not for this key"),
    ):
        drawn(engine(server, retries=8, concurrency=1), requests(40))
    assert len(server.samples_asked) < 40


def test_a_spent_quota_is_not_tried_again():
    spent = error(429, "You exceeded your current quota", code="insufficient_quota")
    with playing(lambda b: spent) as server, pytest.raises(EngineError, match="quota"):
        drawn(engine(server, retries=8))
    assert len(server.asked) == 1


def test_the_least_busy_server_is_asked_and_one_that_is_gone_is_left():
    with playing(lambda _: chat("a")) as one, playing(lambda _: chat("b")) as other:
        served = engine(one, other, concurrency=8, retries=4)
        texts = [s.text for s in drawn(served, requests(40))]
        assert {"a", "b"} == set(texts)
        one.shutdown()
        one.server_close()
        assert {s.text for s in drawn(served, requests(40))} == {"b"}


def test_a_run_stops_at_its_most_tokens_with_what_it_has():
    samples = []
    with playing(lambda _: chat("2", usage={"prompt_tokens": 10, "completion_tokens": 90})) as server:
        served = engine(server, most_tokens=1000, concurrency=1)
        with pytest.raises(SpendingLimitError, match=r"of 50 samples are drawn.*most_tokens 1,000 is reached"):
            samples.extend(sample for finished in served.sample(requests(50), SETTINGS) for sample in finished)
        with pytest.raises(SpendingLimitError):
            drawn(served)
    assert len(server.asked) == 10


def test_a_run_stops_at_its_most_cost():
    used = {"prompt_tokens": 1_000_000, "completion_tokens": 500_000}
    price = {"prompt": 1.0, "generated": 4.0}
    with playing(lambda _: chat("2", usage=used)) as server, pytest.raises(SpendingLimitError, match=r"3\.00 at the"):
        drawn(engine(server, most_cost=2.5, price=price, concurrency=1), requests(5))


def test_a_price_is_wanted_for_a_most_cost_and_parameters_stand_in_their_own_place():
    address = {"kind": "openai", "base_url": "http://x/v1", "model": "m"}
    with pytest.raises(ValueError, match="most_cost needs price"):
        OpenAI.model_validate({**address, "most_cost": 1})
    with pytest.raises(ValueError, match=r"max_tokens \(max_new_tokens of the rollout settings\)"):
        OpenAI.model_validate({**address, "extra_body": {"max_tokens": 3}})


def test_after_ctrl_c_the_samples_under_way_are_waited_for_and_kept():
    def play(body):
        if len(server.samples_asked) == 6:
            os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.2)
        return chat("2")

    had = []
    with playing(play) as server:
        drawing = engine(server, concurrency=4).sample(requests(40), SETTINGS)
        with pytest.raises(KeyboardInterrupt):
            had.extend(sample.request_id for finished in drawing for sample in finished)
        asked = [body["messages"][0]["content"] for body in server.samples_asked]
    assert len(asked) < 40
    assert sorted(f"? {name[1:]}" for name in had) == sorted(asked)
