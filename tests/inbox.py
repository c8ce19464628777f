"""A receiver of alerts on loopback."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Inbox:
    """An HTTP receiver on loopback that answers ``status``; ``posts`` holds path, answer and document of each POST."""

    def __init__(self):
        self.status = 200
        self.posts: list[tuple[str, int, dict]] = []
        inbox = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                document = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                inbox.posts.append((self.path, inbox.status, document))
                self.send_response(inbox.status)
                if 300 <= inbox.status < 400:
                    self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format, *args):  # noqa: A002
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def taken(self, path: str) -> list[dict]:
        return [document for at, status, document in self.posts if at == path and status == 200]

    def refused(self, path: str) -> list[dict]:
        return [document for at, status, document in self.posts if at == path and status != 200]
