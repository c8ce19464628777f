"""What `bench.gpu` measures of training: this project's own process, and the peak that it is held against."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.gpu.inputs import LONGEST, on_gpu, sizes, training_rows

ROOT = Path(__file__).parents[2]


def peak(folder: Path) -> dict[str, float]:
    """Measure bfloat16 floating point operations a second in a large matrix product; float32 on a CPU."""
    import torch

    side, device = sizes()["product"], "cuda" if on_gpu() else "cpu"
    left, right = (
        torch.randn(side, side, device=device).to(torch.bfloat16 if on_gpu() else torch.float32) for _ in "12"
    )

    def times(count: int) -> float:
        started = time.perf_counter()
        for _ in range(count):
            product = left @ right
        product[0, 0].item()  # waits for the GPU
        return (time.perf_counter() - started) / count

    times(3)
    return {"operations": 2 * side**3 / times(20)}


def trained(folder: Path, lora: bool, processes: int = 1) -> dict[str, float]:
    """Train with the project's own process, and measure the tokens a second between its first and its last step."""
    from resources.training.launching import command
    from resources.training.trainer import write_rows

    amount = sizes()
    training = {
        "epochs": 1,
        "learning_rate": 1e-5,
        "warmup": 0.1,
        "batch_size": amount["at_once"] * processes,
        "rows_at_once": amount["at_once"],
        "processes": processes,
        "max_length": LONGEST,
        "refine_weight": 0.5,
        "save_minutes": 60,
        "trainer": {},
        "launch": None,
        "accelerate": None,
    }
    with tempfile.TemporaryDirectory() as scratch:
        names = ("checkpoint", "history", "facts", "saves", "tokens")
        job: dict[str, Any] = {name: f"{scratch}/{name}" for name in names}
        job |= {
            "weights": str(folder),
            "source": "random",
            "rows": f"{scratch}/rows.parquet",
            "resume": None,
            "seed": 1,
        }
        job |= {"lora": {"rank": 16, "alpha": 32} if lora else None, "training": training, "chat_template_kwargs": {}}
        write_rows(Path(job["rows"]), training_rows(amount["rows"], amount["steps"]))
        path = Path(scratch) / "job.json"
        path.write_text(json.dumps(job))
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
        process = subprocess.Popen(command(training, path), env=environment, stdout=sys.stderr, cwd=ROOT)
        seen = list(steps_as_they_come(Path(job["history"]), process))
        if process.returncode:
            raise RuntimeError(f"training ended with status {process.returncode}")
    (began, first), (ended, last) = seen[0], seen[-1]
    return {"tokens_per_second": (last["tokens"] - first["tokens"]) / (ended - began), "loss": last["loss"]}


def steps_as_they_come(history: Path, process: subprocess.Popen) -> Iterator[tuple[float, dict[str, Any]]]:
    """Yield each step of a training with the time at which it was seen."""
    from resources.training.trainer import History

    log = History(history)
    running = True
    while running:
        running = process.poll() is None
        for row in log.new_rows():
            if "loss" in row:
                yield time.perf_counter(), row
        time.sleep(0.01 if running else 0)
