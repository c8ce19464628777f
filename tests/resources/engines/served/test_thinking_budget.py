"""Thinking that has reached its budget is ended, and the model answers."""

import pytest

from gsr_dagster.experiment.settings import RolloutSettings
from resources.engines.served.door import QUESTION
from tests.resources.engines.served.played import chat, engine, error, models, playing, requests

SETTINGS = RolloutSettings(temperature=0.7, max_new_tokens=100, thinking_tokens=20)
END = "</think>"
USED = {"prompt_tokens": 5, "completion_tokens": 20}


def drawn(served):
    return [sample for finished in served.sample(requests(1), SETTINGS) for sample in finished]


def unending(body):
    """A model that thinks to its limit, and answers once its thinking was ended."""
    if body["messages"] == QUESTION:
        return chat(None, reasoning="so 2, or", reason="length")
    begun = body["messages"][-1]
    if begun["role"] == "assistant":
        assert begun["content"].endswith(f"{END}\n\n")
        assert body["max_tokens"] < 80
        return chat("It is 2", usage={"prompt_tokens": 25, "completion_tokens": 4})
    assert body["max_tokens"] == 20
    return chat(None, reasoning="so 2, or 3, or", reason="length", usage=USED)


def test_a_server_without_budgets_is_asked_to_go_on_after_the_marker():
    with playing(unending) as server:
        (sample,) = drawn(engine(server, thinking_end=END))
    assert sample.text == f"so 2, or 3, or\n{END}\n\nIt is 2"
    assert (sample.finish_reason, sample.prompt_tokens) == ("stop", 5)
    assert 24 < sample.generated_tokens <= 30


def test_a_server_that_tokenizes_chats_goes_on_from_the_very_tokens():
    spelled = {"tokenize": lambda b: (200, {"tokens": [*map(ord, b.get("prompt") or b["messages"][0]["content"])]})}
    spelled["detokenize"] = lambda b: (200, {"prompt": "".join(map(chr, b["tokens"]))})
    went_on = []

    def completions(body):
        went_on.append("".join(map(chr, body["prompt"])))
        return 200, {"choices": [{"text": "It is 2", "finish_reason": "stop"}], "usage": USED}

    with playing(unending, completions=completions, **spelled) as server:
        (sample,) = drawn(engine(server, thinking_end=END))
    assert went_on == [f"? 0<think>\nso 2, or 3, or\n{END}\n\n"]
    assert sample.text == f"so 2, or 3, or\n{END}\n\nIt is 2"


def test_thinking_that_ends_by_itself_is_left_alone():
    with playing(lambda _: chat("2", reasoning="so")) as server:
        (sample,) = drawn(engine(server, thinking_end=END))
    assert len(server.samples_asked) == 1
    assert sample.text == f"so\n{END}\n\n2"


def test_an_answer_that_the_budget_cut_goes_on_without_a_second_marker():
    def play(body):
        if body["messages"][-1]["role"] == "assistant":
            return chat(" is 2")
        return chat("It", reasoning="so", reason="length" if body["messages"] != QUESTION else "stop")

    with playing(play) as server:
        (sample,) = drawn(engine(server, thinking_end=END))
    assert sample.text == f"so\n{END}\n\nIt is 2"


@pytest.mark.parametrize("refuses", [False, True])
def test_vllms_own_budget_is_used_where_it_is_switched_on(refuses):
    def play(body):
        if refuses and "thinking_token_budget" in body:
            return error(400, "thinking_token_budget is set but reasoning_config is not configured")
        return unending(body) if refuses else chat("2", reasoning="so")

    with playing(play, models=models(owned_by="vllm")) as server:
        (sample,) = drawn(engine(server, thinking_end=END))
    assert server.samples_asked[0]["thinking_token_budget"] == 20
    assert sample.text.endswith("2")
    assert (len(server.samples_asked) == 1) is not refuses
