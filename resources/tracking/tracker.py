"""Tells a tracking server of what was made, in a process of its own with a clock: nothing that a server does is waited for.

The clients retry for minutes, keep threads and print. Their process (sending.py) is ended with all of that.
"""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from gsr_dagster.experiment.errors import UserError
from gsr_dagster.experiment.tracking import MLflow, WandB
from resources.store.files import scratch_folder
from resources.texts import printable
from resources.tracking.tracked_run import TrackedRun

PACKAGES = Path(__file__).resolve().parents[2]
URI = "MLFLOW_TRACKING_URI"
# What a server is given for one run, from the first request to the last; and for each part of a long curve.
SECONDS = 10
SECONDS_A_PART = 5
STEPS_A_PART = 1000
# What the client's process may take to load: it is far from here, and only ends what hangs.
SECONDS_TO_LOAD = 120
LONGEST = 300
# A name and password within an address, its query, and what a header of HTTP says who asks with.
HIDDEN = re.compile(r"(?<=//)[^/@\s]+(?=@)|(?<=\?)[^\s'\"]+|(?<=Basic )[\w+/=]+|(?<=Bearer )\S+")
# The same of an address as a whole: the password, or what stands there alone, and the query.
OF_AN_ADDRESS = re.compile(r"\w+://(?:(?:[^:/@]*:)?([^/@]+)@)?[^?]*(?:\?(.*))?")
SECRETS = ("MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN", "WANDB_API_KEY", "DATABRICKS_TOKEN")
# No client tells its makers of its use, and MLflow's retries twice.
CLIENTS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": str(SECONDS),
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "DO_NOT_TRACK": "true",
    "WANDB_ERROR_REPORTING": "false",
    "WANDB_SILENT": "true",
}


class NotTrackedError(UserError, RuntimeError):
    """A run that the tracking server does not show; the message says why, without the address."""


@dataclass(frozen=True)
class Tracker:
    """The tracking server of an experiment, where its file names one. ``folder`` is for what W&B writes offline."""

    experiment: str
    settings: MLflow | WandB | None
    folder: Path

    def refuse_without_client(self) -> None:
        """Raise NotTrackedError where nothing can be tracked from here: no client is installed, no server named."""
        if self.settings is None:
            return
        kind = self.settings.kind
        if find_spec(kind) is None:
            raise NotTrackedError(
                f"tracking: {kind} is not installed here: pip install 'gsr-dagster[{kind}]', or leave tracking out of the file"
            )
        if isinstance(self.settings, MLflow) and not self._uri:
            raise NotTrackedError(
                f"tracking: no MLflow server is named: write its uri, or set {URI}, or leave tracking out of the file"
            )

    def send(
        self, name: str, run: TrackedRun, tags: Mapping[str, str], links: Mapping[str, str], seconds: float
    ) -> str:
        """Send a run that took some seconds, and return where it is shown: an address, or words.

        Where a run has the same tag ``gsr.data_version`` already, nothing is sent. ``links`` are addresses
        by name. Raises NotTrackedError.
        """
        self.refuse_without_client()
        assert self.settings is not None
        job = {
            "settings": self.settings.model_dump() | {"uri": self._uri},
            "experiment": self.experiment,
            "folder": str(self.folder),
            "limit": SECONDS + SECONDS_A_PART * (len(run.curve) // STEPS_A_PART),
            "name": name,
            "tags": dict(tags),
            "note": "\n\n".join(f"{what}: {_linked(address)}" for what, address in links.items()),
            "seconds": seconds,
            "run": asdict(run),
        }
        try:
            return self._sent(job)
        except (OSError, ValueError) as error:
            raise NotTrackedError(self._said(f"{type(error).__name__}: {error}")) from None

    @property
    def _uri(self) -> str:
        named = self.settings.uri if isinstance(self.settings, MLflow) else None
        return named or os.environ.get(URI, "").strip()

    def _sent(self, job: dict[str, Any]) -> str:
        own = {"PYTHONPATH": str(PACKAGES), "PYTHONSAFEPATH": "1", **CLIENTS}
        with scratch_folder() as scratch:
            answer = scratch / "answer.json"
            process = subprocess.Popen(
                [sys.executable, "-m", "resources.tracking.sending", str(answer)],
                env={**os.environ, **own},
                cwd=scratch,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C in the terminal is for this process
            )
            try:
                process.communicate(json.dumps(job).encode(), SECONDS_TO_LOAD + job["limit"])
            except subprocess.TimeoutExpired:
                raise NotTrackedError(f"its client was not ready within {SECONDS_TO_LOAD} s") from None
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)  # with what W&B started
                process.wait()
            told = json.loads(answer.read_text()) if answer.exists() else {}
        if "shown" in told:
            return told["shown"]
        if process.returncode == -signal.SIGALRM:
            raise NotTrackedError(f"the server was not done within {job['limit']} s")
        raise NotTrackedError(self._said(told.get("error") or f"its client ended with status {process.returncode}"))

    def _said(self, text: str) -> str:
        """Return what a client said in one line, cut, and without what may be a secret."""
        known = [os.environ.get(name, "") for name in SECRETS]
        if found := OF_AN_ADDRESS.match(self._uri):
            known += [unquote(part) for part in found.groups("")] + list(found.groups(""))
        for secret in filter(None, known):
            text = text.replace(secret, "…")
        line = " ".join(printable(HIDDEN.sub("…", text)).split())
        return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"


def _linked(address: str) -> str:
    """Return an address in Markdown: one that a browser opens as a link, and any other as it is."""
    return f"<{address}>" if address.startswith(("http://", "https://")) else f"`{address}`"
