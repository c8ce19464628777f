"""A hub on loopback that speaks what huggingface_hub sends to make a repository and to upload files.

Small files come in the commit itself. Large ones go by the LFS protocol, which a client speaks
with HF_HUB_DISABLE_XET=1; the protocol of Xet is not spoken.
"""

import base64
import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import yaml

WRITER, READER = "hf_plantedWriter", "hf_plantedReader"
LARGE = ".safetensors"


class Hub:
    """``repositories`` holds the files of each; ``private`` names those that not everybody reads. WRITER may write for ``team``."""

    def __init__(self, large_by_lfs: bool = False):
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.private: set[str] = set()
        self.large: dict[str, bytes] = {}  # by sha256
        self.asked: list[tuple[str, str]] = []
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                hub.asked.append(("POST", self.path))
                if self.path == "/api/validate-yaml":
                    return self.answer(*hub.validated(json.loads(body)["content"]))
                token = (self.headers["Authorization"] or "").removeprefix("Bearer ")
                if token not in (WRITER, READER):
                    return self.answer(401, {"error": f"Invalid credentials: {token}"})
                if self.path == "/api/repos/create":
                    return self.answer(*hub.created(json.loads(body), token))
                if self.path.endswith(".git/info/lfs/objects/batch"):
                    return self.answer(200, hub.batch(json.loads(body)))
                _, _, _, organisation, name, step, _ = self.path.split("/")
                if step == "preupload":
                    mode = lambda path: "lfs" if large_by_lfs and path.endswith(LARGE) else "regular"  # noqa: E731
                    files = [file["path"] for file in json.loads(body)["files"]]
                    told = [{"path": path, "uploadMode": mode(path), "shouldIgnore": False} for path in files]
                    return self.answer(200, {"files": told})
                assert step == "commit"
                return self.answer(200, hub.committed(f"{organisation}/{name}", body))

            def do_PUT(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                hub.asked.append(("PUT", self.path))
                digest = self.path.removeprefix("/large/")
                assert hashlib.sha256(body).hexdigest() == digest
                hub.large[digest] = body
                self.answer(200, {})

            def do_GET(self) -> None:
                hub.asked.append(("GET", self.path))
                name = self.path.removeprefix("/api/models/")
                token = (self.headers["Authorization"] or "").removeprefix("Bearer ")
                if token and token not in (WRITER, READER):
                    said = "Invalid credentials in Authorization header"
                    return self.answer(401, {"error": f"{said}: {token}"}, **{"X-Error-Message": said})
                if name not in hub.repositories:
                    return self.answer(404 if token else 401, {}, **{"X-Error-Code": "RepoNotFound"})
                return self.answer(200, {"id": name, "private": name in hub.private, "sha": "0" * 40})

            def answer(self, status: int, document: dict, **headers: str) -> None:
                content = json.dumps(document).encode()
                self.send_response(status)
                for header, value in {"Content-Type": "application/json", **headers}.items():
                    self.send_header(header, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def validated(self, card: str) -> tuple[int, dict]:
        try:
            metadata = yaml.safe_load(card.split("---\n")[1])
            faults = [] if isinstance(metadata.get("license"), str) else ["license must be a string"]
        except (IndexError, AttributeError, yaml.YAMLError) as error:
            faults = [str(error)]
        return 400 if faults else 200, {"errors": [{"message": fault} for fault in faults], "warnings": []}

    def created(self, asked: dict, token: str) -> tuple[int, dict]:
        name = f"{asked['organization']}/{asked['name']}"
        if token == READER or asked["organization"] != "team":
            return 403, {"error": f"You may not write for {asked['organization']} with {token}"}
        if name in self.repositories:
            return 409, {"error": "You already created this model repo", "url": f"{self.address}/{name}"}
        self.repositories[name] = {}
        if asked["visibility"] == "private":
            self.private.add(name)
        return 200, {"url": f"{self.address}/{name}"}

    def batch(self, asked: dict) -> dict:
        objects = [
            {**one, "actions": {"upload": {"href": f"{self.address}/large/{one['oid']}"}}} for one in asked["objects"]
        ]
        return {"transfer": "basic", "objects": objects}

    def committed(self, repository: str, body: bytes) -> dict:
        for line in map(json.loads, body.splitlines()):
            if line["key"] == "file":
                self.repositories[repository][line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            elif line["key"] == "lfsFile":
                self.repositories[repository][line["value"]["path"]] = self.large[line["value"]["oid"]]
        return {"success": True, "commitOid": "1" * 40, "commitUrl": f"{self.address}/{repository}/commit/{'1' * 40}"}

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
