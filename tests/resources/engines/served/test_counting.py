"""Counting a served model's tokens without its weights."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resources.engines.served.counting import Estimate
from tests.resources.engines.served.played import chat, engine, playing

MESSAGES = [{"role": "user", "content": "What is 1 + 1?"}]


def words(body):
    """vLLM and SGLang: a text or a chat, in the field of its kind."""
    text = body["messages"][0]["content"] + " <answer>" if "messages" in body else body["prompt"]
    return 200, {"tokens": [ord(word[0]) for word in text.split()], "count": 1}


def of_llama_cpp(body):
    if "messages" in body:
        return 400, {"error": {"message": "no content"}}
    return 200, {"tokens": [ord(word[0]) for word in body["content"].split()]}


def told(name):
    return lambda body: (
        200,
        {name: " ".join({111: "one", 116: "two"}.get(token, chr(token)) for token in body["tokens"])},
    )


def test_a_server_that_tokenizes_counts_texts_and_chats():
    with playing(lambda _: chat("2"), tokenize=words, detokenize=told("prompt")) as server:
        served = engine(server)
        assert served.counts_by == "the server's tokenizer"
        assert served.tokenize("one two two") == [111, 116, 116]
        assert served.detokenize([116, 111]) == "two one"
        assert served.prompt_tokens(MESSAGES) == 6


def test_llama_cpp_tokenizes_texts_and_a_chat_is_their_sum():
    with playing(lambda _: chat("2"), tokenize=of_llama_cpp, detokenize=told("content")) as server:
        served = engine(server)
        assert served.counts_by == "the server's tokenizer"
        assert 5 < served.prompt_tokens(MESSAGES) < 60


@pytest.mark.parametrize(
    "broken", [(200, {"tokens": "x"}), (200, []), (500, {}), (200, b"<html>"), (200, {"tokens": [1.5]})]
)
def test_a_tokenizer_that_answers_nonsense_is_not_used(broken):
    with playing(lambda _: chat("2"), tokenize=lambda _: broken, detokenize=told("prompt")) as server:
        assert engine(server).counts_by.startswith("an estimate")


@given(st.text())
def test_an_estimate_reads_back_what_it_counts(text):
    tokens = Estimate().encode(text)
    assert Estimate().decode(tokens) == text
    assert text.endswith(Estimate().decode(tokens[len(tokens) // 2 :]))
    assert len(tokens) == -(-len(text.encode()) // 3)
