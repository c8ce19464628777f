"""What servers say in place of a sample: of one prompt, of every request, or to people."""

import pytest

from gsr_dagster.experiment.settings import RolloutSettings
from resources.engines.base import UNASKED, EngineError
from resources.engines.served.door import QUESTION
from tests.resources.engines.served.played import chat, engine, error, models, playing, requests

SETTINGS = RolloutSettings(temperature=0.7, max_new_tokens=100)


def drawn(served, asked=None):
    return [sample for finished in served.sample(asked or requests(1), SETTINGS) for sample in finished]


OVER_THE_CONTEXT = {
    "vLLM": error(400, "The decoder prompt (length 5000) is longer than the maximum model length of 4096."),
    "SGLang": error(400, "The input (5000 tokens) is longer than the model's context length (4096 tokens)."),
    "llama.cpp": error(400, "the request exceeds the available context size", type="exceed_context_size_error"),
    "text-generation-inference": (
        422,
        {"error": "Input validation error: `inputs` must have less than 4096 tokens. Given: 5000"},
    ),
    "LM Studio": (400, {"error": "the model is loaded with context length of only 4096 tokens"}),
    "plain text": (400, b"prompt is too long: 208310 tokens > 200000 maximum"),
    "FastAPI": (400, {"detail": "prompt is too long"}),
    "Gemini": error(400, "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576)."),
    "LMDeploy": error(400, "Input length exceeds the session length 4096"),
    "a proxy": error(500, "the request exceeds the available context size"),
    "with the status 200": (200, {"error": {"message": "too many", "code": "context_length_exceeded"}}),
    "with the status 200, in words": (200, {"error": {"message": "maximum context length is 90 tokens"}}),
    "with the status 200, as text": (200, {"error": "prompt is too long. Reduce it and try again later"}),
}
HELD_BACK = {
    "Azure": error(400, "The response was filtered", code="content_filter"),
    "OpenRouter": error(403, "Your chosen model requires moderation and your input was flagged"),
    "DashScope": error(400, "Input data may contain inappropriate content.", code="data_inspection_failed"),
    "Zhipu": error(400, "The system detected potentially unsafe or sensitive content", code="1301"),
    "with the status 200": (200, {"error": {"message": "stopped by the content policy"}}),
}


@pytest.mark.parametrize(
    ("refused", "reason"),
    [(refused, UNASKED) for refused in OVER_THE_CONTEXT.values()]
    + [(refused, "content_filter") for refused in HELD_BACK.values()],
    ids=[*OVER_THE_CONTEXT, *HELD_BACK],
)
def test_one_prompt_that_no_server_takes_fails_no_run_even_where_it_is_the_only_one_left(refused, reason):
    def play(body):
        return refused if body["messages"][0]["content"].endswith(" 1") else chat("2")

    with playing(play) as server:
        assert [s.finish_reason for s in drawn(engine(server), requests(2)[1:])] == [reason]
        others = {s.request_id: s.finish_reason for s in drawn(engine(server), requests(3))}
    assert others == {"r0": "stop", "r1": reason, "r2": "stop"}


def test_a_server_that_takes_less_than_it_lists_is_asked_for_what_it_takes():
    def play(body):
        if body["messages"] != QUESTION and body["max_tokens"] > 60:
            return error(400, "This model's maximum context length is 90 tokens, you asked for more")
        return chat("2")

    with playing(play, models=models(max_model_len=4096)) as server:
        assert [s.finish_reason for s in drawn(engine(server))] == ["stop"]


@pytest.mark.parametrize(
    "refused",
    [
        (401, {"detail": "the key has expired"}),
        (200, {"error": {"message": "the key has expired", "type": "authentication_error"}}),
        (200, {"base_resp": {"status_code": 1004, "status_msg": "api key: the key has expired"}}),
    ],
)
def test_what_people_must_put_right_ends_a_run_at_once_in_the_servers_words(refused):
    with (
        playing(lambda body: chat("2") if body["messages"] == QUESTION else refused) as server,
        pytest.raises(EngineError, match="the key has expired"),
    ):
        drawn(engine(server, retries=2, concurrency=1), requests(5))
    assert len(server.samples_asked) == 1


def test_an_error_that_names_no_reason_is_no_sample_without_an_answer():
    odd = (200, {"error": {"message": "Provider returned error", "code": "provider"}})
    with (
        playing(lambda body: odd if body["messages"][0]["content"] == "? 1" else chat("2")) as server,
        pytest.raises(EngineError, match=r"1 of 3 samples could not be had.*Provider returned error"),
    ):
        drawn(engine(server), requests(3))


@pytest.mark.parametrize("path", ["", "/"])
def test_an_address_without_its_v1_is_told_what_is_right(path):
    with playing(lambda _: chat("2"), models=models()) as server:
        with pytest.raises(
            EngineError, match=f"no /chat/completions.* below that address: write base_url: {server.url}$"
        ):
            drawn(engine(server.url.removesuffix("/v1") + path))
        with pytest.raises(EngineError, match=r"no /other/chat/completions$"):
            drawn(engine(server.url.replace("/v1", "/other")))
