"""Training on a Ray cluster: `python -m resources.training.ray_training JOB.json`, started by trainer.py.

Ray Train starts the training process (lora_training.py) as many times as there are
``processes``, with a GPU each where the cluster has GPUs. The weights, the job's folder ($TMPDIR)
and the saved steps ($GSR_CACHE) must be on a file system that all machines see, as for sampling.
An accelerate config, where one is named, says how the processes share the model; how many
machines there are is Ray's to say.
"""

import json
import os
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from resources.training.launching import PROCESSES, environment_of_config
from resources.training.process import end_with_stdin

PACKAGES = Path(__file__).resolve().parents[2]
# What Ray Train says itself of a process.
OF_RAY = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "NODE_RANK", "MASTER_ADDR", "MASTER_PORT")


def main(job_path: str) -> None:
    """Run the job of a file on the cluster that it names, or on a local Ray."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_TRAIN_V2_ENABLED", "1")
    job = json.loads(Path(job_path).read_text())
    import ray  # pyright: ignore
    from ray.train import RunConfig, ScalingConfig  # pyright: ignore
    from ray.train.torch import TorchConfig, TorchTrainer  # pyright: ignore

    training, accelerate = job["training"], job["training"]["accelerate"]
    variables = environment_of_config(accelerate) if accelerate else {}
    ours = {name: value for name, value in variables.items() if os.environ.get(name) != value and name not in OF_RAY}
    ours |= {"PYTHONPATH": str(PACKAGES), "TOKENIZERS_PARALLELISM": "false", "OMP_NUM_THREADS": "1"}
    where: dict[str, Any] = {"address": job["address"]}
    if job["address"] is None:
        cpus = max(os.cpu_count() or 1, training["processes"] + 1)
        where = {"address": "local", "num_cpus": cpus, "include_dashboard": False}
    ray.init(**where, runtime_env={"env_vars": ours})
    on_gpu = bool(ray.cluster_resources().get("GPU"))
    trainer = TorchTrainer(
        train_on_a_worker,
        train_loop_config=job,
        scaling_config=ScalingConfig(num_workers=training["processes"], use_gpu=on_gpu),
        torch_config=TorchConfig(backend="nccl" if on_gpu else "gloo"),
        run_config=RunConfig(name="training", storage_path=str(Path(job["history"]).parent / "ray")),
    )
    trainer.fit()
    ray.shutdown()


def train_on_a_worker(job: dict[str, Any]) -> None:
    """Run one of the training processes."""
    import_module(PROCESSES[job["training"]["method"]]).train(job)


if __name__ == "__main__":
    end_with_stdin()
    main(sys.argv[1])
