"""Problems answered over loopback by a real small model, asked by the official client."""

from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from gsr_dagster.method.answers import final_answer
from gsr_dagster.method.prompting.prompts import direct_messages, refinement_messages
from tests.gsr_dagster.answering.asking import ask, problem
from tests.gsr_dagster.answering.conftest import MODEL


def test_an_answer_is_the_refinement_of_k_candidates_as_the_experiment_evaluates(client, solver):
    told = ask(client, seed=5)
    gsr = told.gsr
    assert (told.model, gsr["method"], gsr["k"], gsr["seed"], gsr["domain"]) == (MODEL, "refine", 3, 5, "math")
    assert len(gsr["candidates"]) == 3
    (round_,) = gsr["refinements"]
    (refined,) = round_
    assert told.choices[0].message.content == refined["text"]
    assert told.choices[0].finish_reason == refined["finish_reason"] == "stop"
    texts = [candidate["text"] for candidate in gsr["candidates"]]
    assert [candidate["answer"] for candidate in gsr["candidates"]] == [final_answer(text) for text in texts]
    engine = solver.subject.engine
    prompts = [direct_messages(problem())] * 3 + [refinement_messages(problem(), texts)]
    assert told.usage.prompt_tokens == sum(engine.prompt_tokens(prompt) for prompt in prompts)
    assert told.usage.total_tokens == told.usage.prompt_tokens + told.usage.completion_tokens


def test_a_seed_draws_the_same_again_and_without_one_another_is_drawn_and_told(client):
    first = ask(client)
    again = ask(client, seed=first.gsr["seed"])
    assert again.gsr == first.gsr
    assert again.choices == first.choices
    assert len({ask(client, k=1, method="vote").gsr["seed"] for _ in range(3)}) == 3


@pytest.mark.parametrize("method", ["vote", "refine"])
def test_a_stream_is_the_same_text_in_pieces_with_all_it_was_made_of_at_its_end(client, method):
    whole = ask(client, seed=3, method=method)
    pieces = list(ask(client, seed=3, method=method, stream=True, stream_options={"include_usage": True}))
    *text, last, counted = pieces
    assert "".join(piece.choices[0].delta.content or "" for piece in text) == whole.choices[0].message.content
    assert text[0].choices[0].delta.role == "assistant"
    assert last.choices[0].finish_reason == whole.choices[0].finish_reason
    assert last.gsr == whole.gsr
    assert (counted.usage, counted.choices) == (whole.usage, [])
    assert len({piece.id for piece in pieces}) == 1


def test_usage_comes_with_a_stream_where_it_is_asked_for(client):
    assert all(piece.usage is None for piece in ask(client, k=1, method="vote", stream=True))


def test_a_vote_is_a_candidate_with_the_leading_answer_and_refines_nothing(client):
    told = ask(client, method="vote", k=16, seed=1)
    gsr = told.gsr
    assert gsr["refinements"] == []
    assert told.choices[0].message.content == gsr["candidates"][gsr["chosen"]]["text"]
    counts = [one["votes"] for one in gsr["votes"]]
    assert counts == sorted(counts, reverse=True)
    assert gsr["agreement"] == counts[0] / 16
    leading = [one for one in gsr["votes"] if one["votes"] == counts[0]]
    assert gsr["tied"] == (len(leading) > 1)
    assert any(gsr["chosen"] == one["candidates"][0] for one in leading)
    for one in gsr["votes"]:
        assert {gsr["candidates"][place]["answer"] for place in one["candidates"]} == {one["answer"]}


def test_what_is_unsure_is_refined_and_what_is_sure_is_not(client):
    disagreeing = {"k": 16, "seed": 1, "method": "refine_when_unsure"}
    agreement = ask(client, k=16, seed=1, method="vote").gsr["agreement"]
    assert agreement < 1
    assert ask(client, **disagreeing).gsr["refinements"] != []
    assert ask(client, **disagreeing, threshold=agreement).gsr["refinements"] == []
    assert ask(client, **disagreeing, threshold=agreement + 0.01).gsr["refinements"] != []
    agreed = ask(client, k=4, method="refine_when_unsure", temperature=0)
    assert (agreed.gsr["agreement"], agreed.gsr["refinements"]) == (1.0, [])


def test_every_round_but_the_last_refines_k_times(client):
    told = ask(client, k=2, rounds=3, seed=2)
    assert [len(group) for group in told.gsr["refinements"]] == [2, 2, 1]
    assert told.choices[0].message.content == told.gsr["refinements"][-1][0]["text"]


def test_several_requests_at_once_get_what_each_gets_alone(client):
    problems = [problem(left, 3) for left in range(1, 7)]
    alone = [ask(client, text, k=4, seed=9).gsr["candidates"] for text in problems]
    with ThreadPoolExecutor(len(problems)) as pool:
        together = list(pool.map(lambda text: ask(client, text, k=4, seed=9).gsr["candidates"], problems))
    pairs = [pair for one, other in zip(alone, together, strict=True) for pair in zip(one, other, strict=True)]
    # Another batch shape rounds differently, so a draw at the edge of a token may fall on the other side.
    assert sum(one == other for one, other in pairs) >= 0.9 * len(pairs)
    assert len({str(candidates) for candidates in alone}) == len(problems)


def test_a_token_limit_cuts_every_text(client):
    told = ask(client, max_completion_tokens=2, seed=1)
    assert told.choices[0].finish_reason == "length"
    assert told.usage.completion_tokens == 4 * 2


REFUSED = {
    "n": {"n": 2},
    "tools": {"tools": [{"type": "function", "function": {"name": "add"}}]},
    "logprobs": {"logprobs": True},
    "response_format": {"response_format": {"type": "json_object"}},
    "presence_penalty": {"presence_penalty": 0.5},
    "temperature": {"temperature": 3},
    "max_tokens": {"max_tokens": 5000},
    "threshold": {"threshold": 1.5},
    "rounds": {"rounds": 0},
    "method": {"method": "majority"},
    "domain": {"domain": "poetry"},
    "k": {"k": 1000},
    "kk": {"extra_body": {"kk": 2}},
    "messages": {"messages": [{"role": "assistant", "content": "Yes?"}]},
    "messages[0].content": {
        "messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]
    },
    "messages[0].role": {"messages": [{"role": "tool", "content": "7", "tool_call_id": "1"}]},
}


@pytest.mark.parametrize(("param", "fields"), REFUSED.items(), ids=REFUSED.keys())
@pytest.mark.parametrize("stream", [False, True])
def test_what_is_not_supported_is_refused_in_the_form_of_openai(client, param, fields, stream):
    import openai

    if "extra_body" in fields:
        asked = {"model": MODEL, "messages": [{"role": "user", "content": "?"}], "stream": stream, **fields}
        with pytest.raises(openai.BadRequestError) as refused:
            client.chat.completions.create(**asked)
    else:
        with pytest.raises(openai.BadRequestError) as refused:
            ask(client, stream=stream, **fields)
    assert refused.value.param == param
    assert refused.value.type == "invalid_request_error"


def test_a_prompt_over_the_context_is_refused_by_its_own_code(client):
    import openai

    with pytest.raises(openai.BadRequestError, match="1024 tokens") as refused:
        ask(client, "7 + " * 1000)
    assert refused.value.code == "context_length_exceeded"


def test_another_model_is_not_found(client):
    import openai

    with pytest.raises(openai.NotFoundError, match=f"{MODEL} answers") as missing:
        client.chat.completions.create(model="gpt-9", messages=[{"role": "user", "content": "?"}])
    assert missing.value.code == "model_not_found"


def test_what_is_switched_off_is_taken_and_what_does_nothing_is_named(client):
    import openai

    off = {"n": 1, "tools": openai.NOT_GIVEN, "frequency_penalty": 0, "response_format": {"type": "text"}}
    told = ask(client, k=1, method="vote", rounds=2, user="me", **off, messages=[
        {"role": "user", "content": [{"type": "text", "text": problem()}], "name": "me"}
    ])  # fmt: skip
    assert told.gsr["ignored"] == ["messages[0].name", "user", "rounds"]


def test_a_body_that_is_no_json_is_refused(client):
    address = f"{client.base_url}chat/completions"
    told = httpx.post(address, content=b"{'model': 1}")
    assert (told.status_code, told.json()["error"]["type"]) == (400, "invalid_request_error")
    assert httpx.post(address, content=b'["model"]').json()["error"]["message"] == "the body is no JSON object"


def test_pages_of_other_sites_get_no_answer(client):
    address = f"{client.base_url}chat/completions"
    asked = {"model": MODEL, "messages": [{"role": "user", "content": "?"}]}
    told = httpx.post(address, json=asked, headers={"Origin": "http://evil.example"})
    assert (told.status_code, "evil.example" in told.json()["error"]["message"]) == (403, True)
    assert httpx.post(address, json=asked, headers={"Host": "evil.example"}).status_code == 400
    own = f"http://{client.base_url.host}:{client.base_url.port}"
    assert httpx.post(address, json=asked, headers={"Origin": own}, timeout=60).status_code == 200


def test_it_says_what_answers_and_that_it_does(client):
    (model,) = client.models.list()
    assert (model.id, model.max_model_len) == (MODEL, 1024)
    root = f"http://{client.base_url.host}:{client.base_url.port}"
    assert httpx.get(f"{root}/health").json() == {"status": "ok"}
    assert "POST /v1/chat/completions" in httpx.get(f"{root}/v1/completions").json()["error"]["message"]
