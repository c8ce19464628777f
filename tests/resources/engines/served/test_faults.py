"""A served model whose server fails in every way there is. (Against a real vLLM: test_vllm.py.)"""

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from gsr_dagster.experiment.engines import OpenAI
from gsr_dagster.experiment.keys import ArtifactKey
from gsr_dagster.experiment.settings import RolloutSettings
from resources.engines.base import EngineError, Request, sample_seed
from resources.engines.sample_log import Prompt, complete_samples
from resources.engines.served.door import QUESTION
from resources.engines.served.engine import OpenAIEngine
from resources.store.artifacts import ArtifactStore
from resources.store.manifests import Recipe

KEY = "sk-planted-key-for-the-test"
SETTINGS = RolloutSettings(temperature=0.7, max_new_tokens=8)
FAULTS = ("refuse", "fault", "stall", "cut", "nonsense", "no choices", "reset")


class FaultyServer(ThreadingHTTPServer):
    """Answers seed by seed; of the first attempts at a seed one in five fails, another way each time."""

    daemon_threads = True

    def __init__(self, always: str = "", failing: float = 0.2):
        super().__init__(("127.0.0.1", 0), Handler)
        self.always = always
        self.every = round(1 / failing)
        self.attempts: Counter[int] = Counter()
        self.answered: Counter[int] = Counter()
        self.faults: Counter[str] = Counter()
        self.keys: set[str] = set()
        self.questions = 0
        self.at_once = self.most_at_once = 0
        self.lock = threading.Lock()

    def fault(self, seed: int) -> str:
        with self.lock:
            self.attempts[seed] += 1
            number = len(self.attempts)
            if self.always:
                return self.always
            if self.attempts[seed] > 1 or number % self.every:
                return ""
            fault = FAULTS[sum(self.faults.values()) % len(FAULTS)]
            self.faults[fault] += 1
            return fault


class Handler(BaseHTTPRequestHandler):
    server: FaultyServer

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path != "/v1/chat/completions":
            return self.send_error(404)
        server, seed = self.server, asked["seed"]
        with server.lock:
            server.keys.add(self.headers["Authorization"])
        if asked["messages"] == QUESTION:
            server.questions += 1
            return self.answer(server.always if server.always == "unauthorized" else "", seed, asked)
        with server.lock:
            server.at_once += 1
            server.most_at_once = max(server.most_at_once, server.at_once)
        try:
            self.answer(server.fault(seed), seed, asked)
        finally:
            with server.lock:
                server.at_once -= 1

    def do_GET(self) -> None:
        self.send_error(404)

    def answer(self, fault: str, seed: int, asked: dict) -> None:
        said = "lone \ud800, a pair \U0001f600" if fault == "surrogate" else f"said {seed}"
        choice = {"index": 0, "message": {"role": "assistant", "content": said}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}
        body = {"id": "x", "object": "chat.completion", "created": 1, "model": asked["model"], "usage": usage}
        body["choices"] = [] if fault == "no choices" else [choice]
        if fault == "stall":
            time.sleep(4)
        content = json.dumps(body).encode()
        if fault == "nonsense":
            content = b"<html>busy</html>"
        if fault == "reset":
            self.connection.close()
            return
        status = {"refuse": 429, "fault": 503, "unauthorized": 401}.get(fault, 200)
        if status != 200:
            content = json.dumps({"error": {"message": f"no: {self.headers['Authorization']}"}}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if fault == "cut" else content)
        if fault == "cut":
            self.connection.close()
        elif status == 200 and fault not in ("nonsense", "no choices", "stall"):
            with self.server.lock:
                self.server.answered[seed] += 1

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def serve() -> Iterator:
    servers = []

    def start(**options: object) -> FaultyServer:
        server = FaultyServer(**options)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.shutdown()


def engine(server: FaultyServer, tokenizer_folder, **options: object) -> OpenAIEngine:
    settings = {"timeout": 2.5, "concurrency": 8, "retries": 6, **options}
    base_url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    served = OpenAI(kind="openai", base_url=base_url, model="served", **settings)
    return OpenAIEngine(served, ("a folder", lambda: tokenizer_folder))


def requests(count: int, samples: int) -> list[Request]:
    return [
        Request(
            f"r{number}",
            [{"role": "user", "content": "?"}],
            tuple(range(samples)),
            tuple(sample_seed("f", f"r{number}", index) for index in range(samples)),
        )
        for number in range(count)
    ]


@pytest.fixture(autouse=True)
def planted_key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def test_of_a_server_that_fails_one_request_in_five_nothing_is_lost_and_nothing_comes_twice(
    serve, tokenizer_folder, caplog
):
    server = serve()
    asked = requests(50, 4)
    faulty = engine(server, tokenizer_folder)
    samples = [sample for finished in faulty.sample(asked, SETTINGS) for sample in finished]
    got = {(s.request_id, s.index): s for s in samples}
    assert len(samples) == len(got) == 200
    assert all(got[r.id, i].text == f"said {s}" for r in asked for i, s in zip(r.indices, r.seeds, strict=True))
    assert {(s.prompt_tokens, s.generated_tokens, s.finish_reason) for s in samples} == {(5, 3, "stop")}
    assert set(server.faults) == set(FAULTS)
    assert (
        sum(faulty.model.failures.values()) == sum(server.attempts.values()) - 200 >= sum(server.faults.values()) == 40
    )
    assert server.most_at_once <= 8
    assert "failed requests, by kind" in caplog.text
    assert server.keys == {f"Bearer {KEY}"}
    assert KEY not in caplog.text


def test_what_cannot_be_had_is_said_after_all_else_was_kept(serve, tokenizer_folder, tmp_path, monkeypatch):
    server = serve()
    monkeypatch.setattr(
        server, "fault", lambda seed: "fault" if seed == sample_seed(recipe.fingerprint, "r1", 0) else ""
    )
    store = ArtifactStore(root=str(tmp_path))
    recipe = Recipe(ArtifactKey("base/candidate_pools", "b|m"), settings={})
    prompts = [Prompt(f"r{number}", [{"role": "user", "content": "?"}], 2) for number in range(4)]
    failing = engine(server, tokenizer_folder, retries=1)
    with pytest.raises(EngineError, match="1 of 8 samples could not be had; the first: InternalServerError"):
        complete_samples(store, recipe, prompts, "candidate_id", SETTINGS, lambda: failing)
    monkeypatch.setattr(server, "fault", lambda seed: "")
    shards = complete_samples(store, recipe, prompts, "candidate_id", SETTINGS, lambda: failing)
    assert sum(shard.rows for shard in shards) == 8
    assert max(server.answered.values()) == 1


def test_a_lone_surrogate_which_no_file_can_hold_is_replaced_at_the_door(serve, tokenizer_folder, tmp_path):
    store = ArtifactStore(root=str(tmp_path))
    recipe = Recipe(ArtifactKey("base/candidate_pools", "b|m"), settings={})
    told = engine(serve(always="surrogate"), tokenizer_folder)
    prompts = [Prompt("r0", [{"role": "user", "content": "?"}], 1)]
    shards = complete_samples(store, recipe, prompts, "candidate_id", SETTINGS, lambda: told)
    (row,) = store.read_shards(recipe.key, recipe.fingerprint, shards)
    assert row["text"] == "lone \ufffd, a pair \U0001f600"


def test_a_refused_key_is_not_tried_again_and_not_repeated(serve, tokenizer_folder, caplog):
    server = serve(always="unauthorized")
    with pytest.raises(EngineError, match="AuthenticationError") as refused:
        list(engine(server, tokenizer_folder).sample(requests(1, 1), SETTINGS))
    assert (server.questions, len(server.attempts)) == (1, 0)
    assert KEY not in str(refused.value) + caplog.text


def test_a_server_that_is_not_there_is_an_error_that_says_so(tokenizer_folder):
    gone = OpenAI(kind="openai", base_url="http://127.0.0.1:9/v1", model="served", retries=0)
    with pytest.raises(EngineError, match="APIConnectionError"):
        list(OpenAIEngine(gone, ("a folder", lambda: tokenizer_folder)).sample(requests(1, 1), SETTINGS))
