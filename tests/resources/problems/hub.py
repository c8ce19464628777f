"""A hub on loopback with one gated repository, a data set and a model, which answers as the Hugging Face hub does."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

REPOSITORY = "Idavidrein/gpqa"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
MEMBER = "hf_ofAMember"
README = """\
---
configs:
- config_name: gpqa_main
  data_files: gpqa_main.csv
- config_name: gpqa_diamond
  data_files: gpqa_diamond.csv
---
"""


class Hub:
    """Serves files of the repository to members; its card to everybody, where ``card_is_open``."""

    def __init__(self, files: dict[str, str], card_is_open: bool):
        self.files = {name: content.encode() for name, content in {**files, "README.md": README}.items()}
        self.card_is_open = card_is_open
        self.asked: list[str] = []

    def refusal(self, name: str, authorization: str) -> tuple[int, str] | None:
        """Return why a file is not given, None where it is."""
        if authorization == f"Bearer {MEMBER}" or (self.card_is_open and name == "README.md"):
            return None
        restricted = f"Access to dataset {REPOSITORY} is restricted"
        if not authorization:
            return 401, f"{restricted}. You must have access to it and be authenticated to access it. Please log in."
        return 403, f"{restricted} and you are not in the authorized list. Visit its page to ask for access."


@contextmanager
def serving(hub: Hub) -> Iterator[str]:
    """Yield the address of a hub, for HF_ENDPOINT."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub

    def do_GET(self) -> None:
        self.hub.asked.append(f"{self.command} {self.path}")
        path = self.path.partition("?")[0]
        is_model = path.startswith((f"/{REPOSITORY}/", "/api/models/"))
        of_files = f"/{REPOSITORY}/resolve/" if is_model else f"/datasets/{REPOSITORY}/resolve/"
        of_repository = f"/api/{'models' if is_model else 'datasets'}/{REPOSITORY}"
        if path.startswith(of_files):
            self._file(path.removeprefix(of_files).partition("/")[2])
        elif path.startswith(f"{of_repository}/paths-info/"):
            length = int(self.headers.get("Content-Length", 0))
            asked = json.loads(self.rfile.read(length))["paths"]
            self._json([self._entry(name) for name in asked if name in self.hub.files])
        elif path.startswith(f"{of_repository}/tree/"):
            self._json([self._entry(name) for name in sorted(self.hub.files)])
        elif path == of_repository or path.startswith(f"{of_repository}/revision/"):
            siblings = [{"rfilename": name} for name in sorted(self.hub.files)]
            self._json({"_id": "1", "id": REPOSITORY, "sha": COMMIT, "gated": "auto", "siblings": siblings, "tags": []})
        else:
            self._error(401, "RepoNotFound", "Invalid username or password.")

    do_HEAD = do_POST = do_GET  # noqa: N815

    def _file(self, name: str) -> None:
        if refused := self.hub.refusal(name, self.headers.get("Authorization", "")):
            self._error(refused[0], "GatedRepo", refused[1])
        elif name not in self.hub.files:
            self._error(404, "EntryNotFound", "Entry not found")
        else:
            content = self.hub.files[name]
            self._send(200, content, {"ETag": f'"{_oid(content)}"', "X-Repo-Commit": COMMIT})

    def _entry(self, name: str) -> dict:
        content = self.hub.files[name]
        return {"type": "file", "path": name, "size": len(content), "oid": _oid(content)}

    def _json(self, document: object) -> None:
        self._send(200, json.dumps(document).encode(), {"Content-Type": "application/json"})

    def _error(self, status: int, code: str, message: str) -> None:
        self._send(status, message.encode(), {"X-Error-Code": code, "X-Error-Message": message})

    def _send(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


def _oid(content: bytes) -> str:
    return hashlib.sha1(content).hexdigest()
