"""A served model that is watched while it writes, against servers that stream in the ways that real ones do."""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from gsr_dagster.experiment.settings import RolloutSettings
from resources.engines.base import EngineError, Request, Watch
from tests.resources.engines.served.played import chat, engine, error, playing, requests

SETTINGS = RolloutSettings(temperature=0.7, max_new_tokens=100)
END = "</think>"


def drawn(served, asked):
    return [sample for finished in served.sample(asked, SETTINGS) for sample in finished]


def streamed(*pieces: dict, usage: dict | None = None) -> tuple[int, bytes]:
    """Return an answer as a stream of deltas."""
    choices = [{"index": 0, "delta": delta, "finish_reason": None} for delta in pieces]
    events = [{"choices": [choice]} for choice in choices]
    events.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    events.append({"choices": [], "usage": usage or {"prompt_tokens": 5, "completion_tokens": 7}})
    return 200, "".join(f"data: {json.dumps(event)}\n\n" for event in events).encode() + b"data: [DONE]\n\n"


def watched(shown: list[str]) -> list[Request]:
    return [replace(requests(1)[0], watch=Watch(gone=lambda: False, wrote=shown.append))]


def test_a_watched_answer_is_streamed_and_shown_while_it_is_written(monkeypatch):
    monkeypatch.setattr("resources.engines.base.SECONDS_BETWEEN_TEXTS", 0.0)
    monkeypatch.setattr("resources.engines.base.TIMES_AS_LONG", 0)
    pieces = [{"role": "assistant", "content": ""}, {"reasoning": "so "}, {"reasoning": "2"}, {"content": "It is"}]

    def play(body):
        return streamed(*pieces, {"content": " 2"}) if body.get("stream") else chat("2", reasoning="one")

    shown: list[str] = []
    with playing(play) as server:
        (sample,) = drawn(engine(server, thinking_end=END), watched(shown))
        (asked,) = server.samples_asked
    assert (asked["stream"], asked["stream_options"]) == (True, {"include_usage": True})
    assert (sample.text, sample.finish_reason) == ("so 2\n</think>\n\nIt is 2", "stop")
    assert (sample.prompt_tokens, sample.generated_tokens) == (5, 7)
    assert [text for text in shown if text][:3] == ["so ", "so 2", "so 2\n</think>\n\nIt is"]
    assert shown[-1] == sample.text


def test_a_server_that_streams_nothing_is_asked_for_the_whole_answer():
    def play(body):
        return error(400, "stream_options is not supported") if body.get("stream") else chat("It is 2")

    shown: list[str] = []
    with playing(play) as server:
        (sample,) = drawn(engine(server), watched(shown))
    assert (sample.text, shown) == ("It is 2", [])


def test_a_fault_within_a_stream_is_no_answer():
    def play(body):
        fault = b'data: {"error": {"message": "out of memory", "code": 500}}\n\n'
        return (200, streamed({"content": "It"})[1][:60] + b"\n\n" + fault) if body.get("stream") else chat("2")

    with playing(play) as server, pytest.raises(EngineError, match="1 of 1 samples could not be had"):
        drawn(engine(server, retries=0), watched([]))


def test_a_server_is_asked_no_more_at_once_than_the_file_says_by_all_that_ask():
    under_way, most, lock = set(), [], threading.Lock()

    def play(body):
        with lock:
            under_way.add(id(body))
            most.append(len(under_way))
        time.sleep(0.05)
        with lock:
            under_way.remove(id(body))
        return chat("2")

    with playing(play) as server:
        served = engine(server, concurrency=2)
        drawn(served, requests(1))
        with ThreadPoolExecutor(6) as pool:
            list(pool.map(lambda _: drawn(served, requests(2)), range(6)))
    assert max(most) == 2
