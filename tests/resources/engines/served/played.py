"""A loopback server that answers as a test says, and keeps what it was asked."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from gsr_dagster.experiment.engines import OpenAI
from resources.engines.base import Request, sample_seed
from resources.engines.served.door import QUESTION
from resources.engines.served.engine import OpenAIEngine

Answer = tuple[int, Any]


def chat(*contents: Any, reason: str | None = "stop", usage: dict[str, Any] | None = None, **message: Any) -> Answer:
    """Return an answer whose choices have these contents; ``message`` holds further fields of each."""
    choices = [
        {"index": index, "message": {"role": "assistant", "content": content, **message}, "finish_reason": reason}
        for index, content in enumerate(contents)
    ]
    counted = {"prompt_tokens": 5, "completion_tokens": 3 * len(choices)} if usage is None else usage
    return 200, {"id": "x", "object": "chat.completion", "choices": choices, "usage": counted}


def error(status: int, message: str, **details: Any) -> Answer:
    return status, {"error": {"message": message, **details}}


class PlayedServer(ThreadingHTTPServer):
    """``play`` answers the chats, ``paths`` everything else, by path: both from the body that was sent."""

    daemon_threads = True

    def __init__(self, play: Callable[[dict[str, Any]], Answer], paths: dict[str, Callable[[Any], Answer]]):
        super().__init__(("127.0.0.1", 0), Handler)
        self.play, self.paths = play, paths
        self.asked: list[dict[str, Any]] = []
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    @property
    def samples_asked(self) -> list[dict[str, Any]]:
        """The requests for samples, without the door's question."""
        return [body for body in self.asked if body.get("messages") != QUESTION]


class Handler(BaseHTTPRequestHandler):
    server: PlayedServer

    def do_POST(self) -> None:
        sent = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/v1/chat/completions":
            body = json.loads(sent)
            with self.server.lock:
                self.server.asked.append(body)
            return self.answer(*self.server.play(body))
        self.other(sent)
        return None

    def do_GET(self) -> None:
        self.other(b"")

    def other(self, sent: bytes) -> None:
        path = self.path.split("?")[0]
        known = next((answer for name, answer in self.server.paths.items() if path.startswith(name)), None)
        if known is None:
            return self.answer(*error(404, f"no {path}"))
        try:
            body = json.loads(sent) if sent else {"path": path}
        except ValueError:
            body = {"path": path, "sent": sent}
        self.answer(*known(body))
        return None

    def answer(self, status: int, body: Any) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def playing(play: Callable[[dict[str, Any]], Answer], **paths: Callable[[Any], Answer]) -> Iterator[PlayedServer]:
    """Yield a server; ``paths`` are by name: ``models`` is /v1/models, ``tokenize`` /tokenize."""
    at_root = ("tokenize", "detokenize")
    server = PlayedServer(play, {f"/{name}" if name in at_root else f"/v1/{name}": a for name, a in paths.items()})
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()


def models(**details: Any) -> Callable[[Any], Answer]:
    """Return what /v1/models answers of the model that is served."""
    return lambda _: (200, {"data": [{"id": "served", "object": "model", **details}]})


def engine(
    *servers: PlayedServer | str, thinking_end: str | None = None, chat_template_kwargs: Any = None, **options: Any
) -> OpenAIEngine:
    urls = tuple(server if isinstance(server, str) else server.url for server in servers)
    settings = {"retries": 1, "timeout": 5, "concurrency": 4, "n": 1, **options}
    served = OpenAI(kind="openai", base_url=urls if len(urls) > 1 else urls[0], model="served", **settings)
    return OpenAIEngine(served, None, thinking_end, chat_template_kwargs)


def requests(count: int, samples: int = 1, content: str = "?") -> list[Request]:
    return [
        Request(
            f"r{number}",
            [{"role": "user", "content": f"{content} {number}"}],
            tuple(range(samples)),
            tuple(sample_seed("f", f"r{number}", index) for index in range(samples)),
        )
        for number in range(count)
    ]
