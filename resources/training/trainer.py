"""Fine-tuning in a process of its own, so that its memory goes when it ends."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dagster as dg

from gsr_dagster.experiment.errors import UserError
from gsr_dagster.experiment.students import Student
from gsr_dagster.method.rows import Row
from resources.models import weights
from resources.progress import track
from resources.store.files import explain_full_disk

PACKAGES = Path(__file__).resolve().parents[2]
SECONDS_BETWEEN_LOOKS = 0.5
LINES_SHOWN_OF_A_FAILURE = 15
# On a CPU too: accelerate's own CPU launcher wants MPI, this one is torch's, and gloo joins the processes.
ACCELERATE = (
    "accelerate.commands.launch --multi_gpu --num_processes {processes} --num_machines 1 "
    "--mixed_precision no --dynamo_backend no --main_process_port 0 --module"
)
# Where torch's launcher begins to tell of a failure, after what the process that failed wrote.
LAUNCHER = re.compile(r"^[EW]\d{4} .*torch/distributed/elastic", re.MULTILINE)
# What it says of the first of its processes that failed.
ROOT_CAUSE = re.compile(r"Root Cause.*?exitcode\s*: (-?\d+)", re.DOTALL)


class TrainingError(UserError, RuntimeError):
    """The training process failed; the message carries the end of what it wrote."""


class TrainingDiedError(TrainingError):
    """A signal ended the training process, as when the memory ran out: it may go well another time."""


class Trainer(dg.ConfigurableResource):
    """Trains a student, an adapter or all of its weights, with TRL's SFTTrainer."""

    def train(
        self, label: str, student: Student, source: str, rows: Sequence[Row], seed: int, scratch: Path
    ) -> tuple[Path, list[Row]]:
        """Return the folder of the checkpoint, and the history: ``step``, ``epoch``, ``loss``, ``learning_rate``.

        ``rows`` are training rows (assets/teaching/training_sets.py). Raises TrainingError where the
        process fails or the loss is not finite, TrainingDiedError where a signal ended it.
        """
        job = {
            "weights": str(weights.fetch(source)),
            "source": source,
            "checkpoint": str(scratch / "checkpoint"),
            "history": str(scratch / "history.jsonl"),
            "rows": [{name: row[name] for name in ("kind", "messages", "completion")} for row in rows],
            "lora": student.lora and student.lora.model_dump(),
            "training": {**student.training.model_dump(), "rows_at_once": student.training.rows_in_a_process},
            "seed": seed,
        }
        with explain_full_disk(scratch):
            (scratch / "job.json").write_text(json.dumps(job))
        history = self._run(label, scratch, student.training.processes)
        return Path(job["checkpoint"]), history

    def _run(self, label: str, scratch: Path, processes: int) -> list[Row]:
        launcher = ACCELERATE.format(processes=processes).split() if processes > 1 else []
        command = [sys.executable, "-m", *launcher, "resources.training.lora_training", str(scratch / "job.json")]
        # Its modules are these, whatever packages stand in the working directory.
        own = {"PYTHONPATH": str(PACKAGES), "PYTHONSAFEPATH": "1", "TOKENIZERS_PARALLELISM": "false"}
        environment = {**os.environ, **own}
        history = History(scratch / "history.jsonl")
        with (
            (scratch / "output.log").open("w") as output,
            # Its input ends with this process, however that ends: so does it.
            subprocess.Popen(
                command, env=environment, stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT
            ) as process,
            track(label, 0, "steps") as progress,
        ):
            try:
                while process.poll() is None:
                    time.sleep(SECONDS_BETWEEN_LOOKS)
                    for row in history.new_rows():
                        progress.total_is(row["steps"])
                        progress.advance(1, note=f"loss {row['loss']:.3f}, lr {row['learning_rate']:.1e}")
            finally:
                process.kill()
        history.new_rows()
        if process.returncode != 0:
            output = (scratch / "output.log").read_text(errors="replace")
            first = ROOT_CAUSE.search(output)  # of several processes
            status = int(first[1]) if first else process.returncode
            failed = TrainingDiedError if status < 0 else TrainingError
            end = LAUNCHER.split(output, maxsplit=1)[0].splitlines()[-LINES_SHOWN_OF_A_FAILURE:]
            raise failed("\n".join([f"training ended with status {status}:", *end]))
        return [{name: row[name] for name in ("step", "epoch", "loss", "learning_rate")} for row in history.rows]


class History:
    """The training process's log, read as it grows."""

    def __init__(self, path: Path):
        self.path = path
        self.rows: list[dict[str, Any]] = []

    def new_rows(self) -> list[dict[str, Any]]:
        """Return the rows that are complete since the last look."""
        if not self.path.exists():
            return []
        lines = self.path.read_text().splitlines(keepends=True)
        complete = [json.loads(line) for line in lines if line.endswith("\n")]
        new = complete[len(self.rows) :]
        self.rows = complete
        return new
