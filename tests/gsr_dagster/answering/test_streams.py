"""Streams, seen through an engine that writes when a test lets it."""

import threading
import time
from functools import partial

import pytest

from gsr_dagster.answering.engine_queue import EngineQueue
from gsr_dagster.answering.solving import Solver
from gsr_dagster.answering.subject import Subject
from resources.engines.base import EngineDiedError, EngineError
from resources.grading.grader import Grader
from tests.gsr_dagster.answering.asking import Writing, ask
from tests.gsr_dagster.answering.conftest import MODEL, experiment, serving

ANSWER = "Let me see what both of them say, then I add it up: the answer is \\boxed{7}."
THOUGHT = f"Is it six, or is it seven? It must be seven.</think>{ANSWER}"


def test_a_refinement_comes_as_it_is_written_with_signs_of_life_before(client_of, monkeypatch):
    monkeypatch.setattr("gsr_dagster.answering.app.SECONDS_BETWEEN_SIGNS", 0.05)
    monkeypatch.setattr("resources.engines.base.SECONDS_BETWEEN_TEXTS", 0.0)
    monkeypatch.setattr("resources.engines.base.TIMES_AS_LONG", 0)
    engine = Writing(lambda request, index: ANSWER, waits=True)
    lines = []
    with ask(client_of(engine), stream=True, timeout=60) as events:
        for line in filter(None, events.response.iter_lines()):
            lines.append(line)
            if line == ": candidates are being sampled":
                engine.go.set()
    assert lines[-1] == "data: [DONE]"
    pieces = [line for line in lines if '"content"' in line and "gsr" not in line]
    assert len(pieces) > 3, "the text came in pieces"


def test_thinking_comes_apart_from_the_answer_in_pieces_and_as_a_whole(client_of, monkeypatch):
    monkeypatch.setattr("resources.engines.base.SECONDS_BETWEEN_TEXTS", 0.0)
    monkeypatch.setattr("resources.engines.base.TIMES_AS_LONG", 0)
    client = client_of(Writing(lambda request, index: THOUGHT), thinking_end="</think>")
    message = ask(client).choices[0].message
    assert (message.reasoning_content, message.content) == (THOUGHT.partition("</think>")[0], ANSWER)
    deltas = [piece.choices[0].delta for piece in ask(client, stream=True)]
    assert "".join(getattr(delta, "reasoning_content", "") for delta in deltas) == message.reasoning_content
    assert "".join(delta.content or "" for delta in deltas) == ANSWER


def test_candidates_are_shown_and_told_without_their_thinking(client_of):
    engine = Writing(lambda request, index: THOUGHT if index else "I think, and never end")
    told = ask(client_of(engine, thinking_end="</think>"), k=2)
    assert [candidate["text"] for candidate in told.gsr["candidates"]] == [None, ANSWER]
    shown = engine.asked[1][0].messages[0]["content"]
    assert shown.endswith(f"Candidate Response 1:\n(no answer)\n\nCandidate Response 2:\n{ANSWER}")


def test_usage_counts_every_text_and_the_prompt_of_each(client_of):
    told = ask(client_of(Writing(lambda request, index: ANSWER)), k=2, rounds=2)
    texts = 2 + 2 + 1
    assert (told.usage.prompt_tokens, told.usage.completion_tokens) == (texts * 10, texts * len(ANSWER.split()))


@pytest.mark.parametrize("stream", [True, False])
def test_the_work_of_a_client_that_goes_is_given_up(client_of, stream):
    import openai

    engine = Writing(lambda request, index: ANSWER, waits=True)
    client = client_of(engine)
    if stream:
        events = ask(client, stream=True)
        next(iter(events))
        wait_until(lambda: engine.asked)
        events.close()
    while not engine.asked:  # on a busy machine a client may go before its request arrives
        with pytest.raises(openai.APITimeoutError):
            ask(client.with_options(timeout=1, max_retries=0))
    assert engine.given_up.wait(120)
    engine.go.set()
    assert ask(client, k=1, method="vote").choices[0].message.content == ANSWER, "others are answered"


def test_requests_that_wait_are_drawn_together_where_they_are_drawn_alike():
    engine = Writing(lambda request, index: ANSWER, waits=True)
    queue = EngineQueue(engine, threads=1)
    temperatures = [1.0, 0.5, 1.0, 1.0]
    voted = {"k": 2, "method": "vote"}
    with serving(Solver(Subject(experiment(), MODEL, engine), queue, Grader())) as client:
        asking = partial(threading.Thread, target=ask, args=(client,))
        threads = [asking(kwargs={**voted, "temperature": temperature}) for temperature in temperatures]
        for number, thread in enumerate(threads):
            thread.start()
            if number == 0:
                wait_until(lambda: engine.asked)
        wait_until(lambda: len(queue._waiting) == len(threads) - 1)
        engine.go.set()
        for thread in threads:
            thread.join()
    assert sorted(map(len, engine.asked)) == [1, 1, 2]


def wait_until(true) -> None:
    deadline = time.monotonic() + 120
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("stream", [True, False])
def test_what_an_engine_cannot_do_is_told_in_the_form_of_openai_and_not_asked_again(client_of, stream):
    import openai

    def write(request, index):
        raise EngineError("the server is on fire")

    engine = Writing(write)
    with pytest.raises(openai.APIError, match="no answer: the server is on fire"):
        list(ask(client_of(engine), stream=stream))
    assert len(engine.asked) == 1


def test_requests_after_the_end_of_the_model_s_process_say_so(client_of):
    import openai

    def write(request, index):
        raise EngineDiedError("its process ended")

    with pytest.raises(openai.InternalServerError, match="its process ended"):
        ask(client_of(Writing(write)))


def test_turns_before_the_problem_stand_before_every_prompt(client_of):
    engine = Writing(lambda request, index: ANSWER)
    before = [
        {"role": "system", "content": "Answer in words."},
        {"role": "user", "content": "1 + 1?"},
        {"role": "assistant", "content": "two"},
    ]
    ask(client_of(engine), messages=[*before, {"role": "user", "content": "3 + 4?"}])
    (direct,), (refinement,) = engine.asked
    for request in (direct, refinement):
        assert request.messages[:-1] == before
        assert "3 + 4?" in request.messages[-1]["content"]
