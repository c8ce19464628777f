"""A run of Weights & Biases, by its own client. Runs in the process of sending.py."""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

# As many digits of a data version as name a run: W&B knows a run by its id, and takes none twice.
DIGITS = 32
# What W&B would tell of this process: its packages, its hardware, its code and what it prints.
LEFT_OUT = {
    "console": "off",
    "disable_git": True,
    "save_code": False,
    "x_disable_machine_info": True,
    "x_disable_meta": True,
    "x_disable_stats": True,
    "x_save_requirements": False,
}


def send(job: Mapping[str, Any]) -> str:
    """Send the run of a job, or write it into the home's folder where it is offline, and return where it is shown."""
    wandb = import_module("wandb")
    settings, run, tags = job["settings"], job["run"], job["tags"]
    offline = settings["mode"] == "offline"
    version = tags["gsr.data_version"][:DIGITS]
    if offline:
        for known in sorted(Path(job["folder"]).glob(f"wandb/offline-run-*-{version}")):
            return str(known)
    started = wandb.init(
        project=settings["project"] or job["experiment"],
        entity=settings["entity"],
        mode=settings["mode"],
        id=version,
        resume=None if offline else "never",
        name=job["name"],
        group=job["experiment"],
        job_type=run["kind"],
        notes=job["note"],
        config={**run["params"], **tags},
        dir=job["folder"] if offline else None,
        settings=wandb.Settings(**LEFT_OUT),
    )
    for row in run["curve"]:
        started.log({name: value for name, value in row.items() if name != "step" and value is not None}, row["step"])
    started.summary.update(run["metrics"])
    shown = str(Path(started.dir).parent if offline else started.url)
    started.finish()
    wandb.teardown()  # ends the process that W&B started
    return shown
