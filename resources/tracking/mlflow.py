"""A run of MLflow, by MLflow's own client. Runs in the process of sending.py."""

import time
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

from gsr_dagster.method.rows import batches

# What a server takes in one request, of each.
PARAMS, METRICS = 100, 1000


def send(job: Mapping[str, Any]) -> str:
    """Send the run of a job, unless a finished one with its data version is there, and return where it is shown."""
    mlflow, entities = import_module("mlflow"), import_module("mlflow.entities")  # of the package mlflow-skinny
    settings, run, tags = job["settings"], job["run"], job["tags"]
    client = mlflow.MlflowClient(settings["uri"])
    experiment = _experiment(client, settings["experiment"] or job["experiment"])
    version = tags["gsr.data_version"]
    same = f"tags.`gsr.data_version` = '{version}' and attributes.status = 'FINISHED'"
    for known in client.search_runs([experiment], same, max_results=1):
        return _shown(settings["uri"], experiment, known.info.run_id)
    now = int(1000 * time.time())
    began = now - int(1000 * job["seconds"])
    noted = {**tags, "mlflow.note.content": job["note"]}
    sent = client.create_run(experiment, began, noted, job["name"]).info.run_id
    for params in batches(flat(run["params"]), PARAMS):
        client.log_batch(sent, params=[entities.Param(name, str(value)) for name, value in params])
    for metrics in batches(_metrics(run), METRICS):
        client.log_batch(sent, metrics=[entities.Metric(name, value, now, step) for name, value, step in metrics])
    client.set_terminated(sent, "FINISHED", now)
    return _shown(settings["uri"], experiment, sent)


def flat(params: Mapping[str, Any], within: str = "") -> Iterator[tuple[str, Any]]:
    """Yield settings by one name each, those of a section as SECTION.NAME; what is not set is left out.

    >>> dict(flat({"seed": 0, "lora": {"rank": 16}, "most_rows": None}))
    {'seed': 0, 'lora.rank': 16}
    """
    for name, value in params.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{within}{name}.")
        elif value is not None:
            yield f"{within}{name}", value


def _metrics(run: Mapping[str, Any]) -> Iterator[tuple[str, float, int]]:
    """Yield the name, value and step of every number: those of the curve, and then those of the whole run, at its last step."""
    step = 0
    for row in run["curve"]:
        step = row["step"]
        for name, value in row.items():
            if name != "step" and value is not None:
                yield name, value, step
    for name, value in run["metrics"].items():
        yield name, value, step


def _experiment(client: Any, name: str) -> str:
    """Return the id of an experiment, which is made where there is none."""
    if found := client.get_experiment_by_name(name):
        return found.experiment_id
    try:
        return client.create_experiment(name)
    except import_module("mlflow.exceptions").MlflowException:
        if found := client.get_experiment_by_name(name):  # another run made it in the meantime
            return found.experiment_id
        raise


def _shown(uri: str, experiment: str, run: str) -> str:
    """Return where a run is shown, without what the address of the server may hold of a password."""
    address = urlsplit(uri)
    if address.scheme not in ("http", "https"):
        return f"run {run}"
    host = address.netloc.rpartition("@")[2]
    return f"{address.scheme}://{host}{address.path.rstrip('/')}/#/experiments/{experiment}/runs/{run}"
