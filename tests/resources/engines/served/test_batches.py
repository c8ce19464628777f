"""`mode: batch` against a loopback server with files and batches, as OpenAI's."""

import itertools
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from gsr_dagster.experiment.settings import RolloutSettings
from resources.engines.base import UNASKED, EngineError
from tests.resources.engines.served.played import PlayedServer, chat, engine, error, playing, requests

SETTINGS = RolloutSettings(temperature=0.7, max_new_tokens=100)


class Provider:
    """Files and batches in memory; a batch is done after so many looks at it. ``answer`` gives each line's answer."""

    def __init__(self, looks: int = 2):
        self.files: dict[str, bytes] = {}
        self.batches: dict[str, dict[str, Any]] = {}
        self.looks = looks
        self.numbers = itertools.count()
        self.ends_as = "completed"

    def answer(self, body: dict[str, Any]) -> tuple[int, Any]:
        return chat(*(f"said {body['seed'] + i}" for i in range(body.get("n", 1))))

    def on_files(self, body: dict[str, Any]) -> tuple[int, Any]:
        if "sent" in body:
            name = f"file-{next(self.numbers)}"
            found = re.search(rb'filename="requests.jsonl".*?\r\n\r\n(.*?)\r\n--', body["sent"], re.DOTALL)
            assert found
            self.files[name] = found[1]
            return 200, {"id": name, "object": "file", "bytes": 1, "created_at": 1, "filename": "f", "purpose": "batch"}
        return 200, self.files[body["path"].split("/")[3]]

    def on_batches(self, body: dict[str, Any]) -> tuple[int, Any]:
        if "input_file_id" in body:
            name = f"batch-{next(self.numbers)}"
            shared = {"id": name, "object": "batch", "created_at": 1, "completion_window": "24h"}
            self.batches[name] = {**shared, **body, "status": "in_progress", "left": self.looks}
            return 200, self.batches[name]
        names = body["path"].split("/")[3:]
        if not names:
            newest_first = list(self.batches.values())[::-1]
            return 200, {"object": "list", "data": newest_first, "has_more": False}
        batch = self.batches[names[0]]
        batch["left"] -= 1
        if batch["left"] <= 0 and batch["status"] == "in_progress":
            self.finish(batch)
        return 200, batch

    def finish(self, batch: dict[str, Any]) -> None:
        batch["status"] = self.ends_as
        lines = []
        for line in map(json.loads, self.files[batch["input_file_id"]].splitlines()):
            status, answer = self.answer(line["body"])
            response = {"status_code": status, "body": answer}
            lines.append(json.dumps({"custom_id": line["custom_id"], "response": response, "error": None}))
        batch["output_file_id"] = f"out-{batch['id']}"
        self.files[batch["output_file_id"]] = "\n".join(lines).encode()


@contextmanager
def serving(provider: Provider) -> Iterator[PlayedServer]:
    with playing(lambda _: chat("2", "2"), files=provider.on_files, batches=provider.on_batches) as server:
        yield server


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch):
    monkeypatch.setattr("resources.engines.served.batches.FIRST_PAUSE", 0.01)


def drawn(served, asked):
    return [sample for finished in served.sample(asked, SETTINGS) for sample in finished]


def test_a_batch_is_uploaded_waited_for_and_read():
    provider = Provider()
    with serving(provider) as server:
        samples = drawn(engine(server, mode="batch", n=4), requests(3, 6))
    assert len(server.samples_asked) == 0
    assert sorted((s.request_id, s.index) for s in samples) == [(f"r{n}", i) for n in range(3) for i in range(6)]
    assert all(sample.text == f"said {sample.seed}" for sample in samples)
    assert len(provider.batches) == 1


def interrupted(seconds: float) -> None:
    raise KeyboardInterrupt


def test_a_batch_that_was_under_way_when_the_process_ended_is_gone_on_with():
    provider = Provider(looks=10**6)
    with serving(provider) as server:
        waiting = iter(engine(server, mode="batch").sample(requests(4), SETTINGS))
        killed = pytest.MonkeyPatch()
        with killed.context() as patch:
            # Not time.sleep itself, which belongs to every thread of the process.
            patch.setattr("resources.engines.served.batches.time", SimpleNamespace(sleep=interrupted))
            with pytest.raises(KeyboardInterrupt):
                next(waiting)
        next(iter(provider.batches.values()))["left"] = 1
        assert len(drawn(engine(server, mode="batch"), requests(4))) == 4
    assert len(provider.batches) == 1


def test_of_a_finished_batch_nothing_is_asked_twice():
    provider = Provider()
    with serving(provider) as server:
        drawn(engine(server, mode="batch"), requests(4))
        again = drawn(engine(server, mode="batch"), requests(6)[2:])
    assert len(again) == 4
    assert [len(provider.files[b["input_file_id"]].splitlines()) for b in provider.batches.values()] == [4, 2]


def test_lines_that_failed_are_told_apart_and_asked_again_next_time():
    provider = Provider()

    def answer(body):
        content = body["messages"][0]["content"]
        if content.endswith(" 1"):
            return error(400, "maximum context length is 90 tokens", code="context_length_exceeded")
        return error(500, "a fault") if content.endswith(" 2") else chat("2")

    provider.answer = answer  # pyright: ignore[reportAttributeAccessIssue]
    samples = []
    with serving(provider) as server:
        with pytest.raises(EngineError, match=r"1 of 4 samples could not be had.*a fault"):
            samples.extend(
                s for finished in engine(server, mode="batch").sample(requests(4), SETTINGS) for s in finished
            )
        provider.answer = lambda _: chat("3")  # pyright: ignore[reportAttributeAccessIssue]
        (again,) = drawn(engine(server, mode="batch"), requests(3)[2:])
    assert again.text == "3"


def test_a_batch_that_fails_whole_says_why():
    provider = Provider()
    provider.ends_as = "failed"
    with serving(provider) as server, pytest.raises(EngineError, match="batch batch-1 failed"):
        drawn(engine(server, mode="batch"), requests(1))


def test_an_expired_batch_gives_what_it_has():
    provider = Provider()
    provider.ends_as = "expired"
    with serving(provider) as server:
        assert {s.finish_reason for s in drawn(engine(server, mode="batch"), requests(2))} - {UNASKED} == {"stop"}
