"""A real MLflow server on loopback, for whoever has one: `make test-tracking` sets it up and names its program."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from tests.journeys.serving import free_port

PROGRAM = "GSR_MLFLOW_SERVER"
SECONDS_TO_START = 120


@contextmanager
def mlflow_server(folder: Path) -> Iterator[str]:
    """Yield the address of a server whose runs stand in a file of the folder, while it runs."""
    address = f"http://127.0.0.1:{free_port()}"
    command = [os.environ[PROGRAM], "server", "--host", "127.0.0.1", "--port", address.rpartition(":")[2]]
    command += ["--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}", "--workers", "1"]
    command += ["--artifacts-destination", str(folder / "artifacts")]
    with (folder / "server.log").open("w") as log:
        quiet = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"}
        process = subprocess.Popen(command, env=quiet, cwd=folder, stdout=log, stderr=log, start_new_session=True)
    try:
        wait_for(address, process, folder / "server.log")
        yield address
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait_for(address: str, process: subprocess.Popen, log: Path) -> None:
    deadline = time.monotonic() + SECONDS_TO_START
    while process.poll() is None and time.monotonic() < deadline:
        try:
            if requests.get(f"{address}/health", timeout=5).ok:
                return
        except requests.RequestException:
            time.sleep(0.5)
    raise AssertionError(log.read_text()[-3000:])


def runs_on(address: str, experiment: str) -> list[dict[str, Any]]:
    """Return the runs of an experiment by the server's REST interface: name, status, params, metrics and tags of each."""
    api = f"{address}/api/2.0/mlflow"
    found = requests.get(f"{api}/experiments/get-by-name", {"experiment_name": experiment}, timeout=30)
    found.raise_for_status()
    asked = {"experiment_ids": [found.json()["experiment"]["experiment_id"]], "max_results": 1000}
    answer = requests.post(f"{api}/runs/search", json=asked, timeout=30).json()
    return [as_shown(run["info"], run["data"]) for run in answer.get("runs", [])]


def as_shown(info: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
    named = {part: {one["key"]: one["value"] for one in data.get(part, [])} for part in ("params", "metrics", "tags")}
    return {"id": info["run_id"], "name": info["run_name"], "status": info["status"], **named}


def history_on(address: str, run: str, metric: str) -> list[tuple[int, float]]:
    """Return the steps and values of a metric of a run."""
    asked = {"run_id": run, "metric_key": metric}
    answer = requests.get(f"{address}/api/2.0/mlflow/metrics/get-history", asked, timeout=30).json()
    return [(int(one.get("step", 0)), one["value"]) for one in answer["metrics"]]
