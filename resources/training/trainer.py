"""Fine-tuning in a process of its own, so that its memory goes when it ends."""

import json
import logging
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq

from gsr_dagster.experiment.errors import UserError
from gsr_dagster.experiment.students import Student
from gsr_dagster.method.rows import Row, batches
from resources import gpus
from resources.models import weights
from resources.progress import track
from resources.store.files import explain_full_disk
from resources.training.launching import command, elsewhere
from resources.training.rows import ROWS_AT_ONCE
from resources.training.saves import Saves, reserved, step_of
from resources.training.targets import TemplateError, targets_of

PACKAGES = Path(__file__).resolve().parents[2]
# What a training reads of its rows: to imitate them, or to write rollouts to them.
OF_A_ROW = ("kind", "messages", "completion")
OF_A_PROMPT = ("row_id", "kind", "problem_id", "messages", "gold", "domain")
ROLLOUTS = "rollouts"
SECONDS_BETWEEN_LOOKS = 0.5
LINES_SHOWN_OF_A_FAILURE = 15
# Where torch's launcher begins to tell of a failure, after what the process that failed wrote.
LAUNCHER = re.compile(r"^[EW]\d{4} .*torch/distributed/elastic", re.MULTILINE)
# What it says of the first of its processes that failed.
ROOT_CAUSE = re.compile(r"Root Cause.*?exitcode\s*: (-?\d+)", re.DOTALL)

log = logging.getLogger(__name__)


class TrainingError(UserError, RuntimeError):
    """The training process failed; the message carries the end of what it wrote."""


class TrainingDiedError(TrainingError):
    """A signal ended the training process, as when the memory ran out: it may go well another time."""


class Trained(NamedTuple):
    """A training that ended: the folder of its checkpoint, its loss curve, what was counted and measured, its rollouts.

    These are of a training by rewards. All lie in the scratch folder: the saves may be another run's by now.
    """

    folder: Path
    history: list[Row]
    facts: dict[str, float]
    rollouts: Path = Path()


class Rewarded(NamedTuple):
    """What decides the rewards of a student that learns from them."""

    grader: str
    thinking_end: str | None


class Trainer(dg.ConfigurableResource):
    """Trains a student, an adapter or all of its weights, with TRL's SFTTrainer, or with its GRPOTrainer by rewards."""

    def train(
        self,
        label: str,
        student: Student,
        source: str,
        rows: Iterable[Row],
        seed: int,
        scratch: Path,
        *,
        template_kwargs: Mapping[str, Any] | None = None,
        saves: Saves | None = None,
        address: str | None = None,
        folder: Path | None = None,
        rewarded: Rewarded | None = None,
    ) -> Trained:
        """Return the folder of the checkpoint, the history (a row a step), the facts.

        ``rows`` are training rows (assets/teaching/training_sets.py), read once; with ``rewarded`` prompts, with the
        ``gold`` and the ``domain`` of their problem. It goes on from the newest
        of the ``saves``, and leaves its own there. ``address`` is of a Ray cluster. ``folder``
        holds the weights where ``source`` only names them, as those of an earlier student. Raises
        TrainingError where the template cannot be trained on, where the process fails or the
        loss is not finite, TrainingDiedError where a signal ended it.
        """
        refuse_untrainable(source, template_kwargs or {}, folder)
        folder = folder or weights.fetch(source)
        with reserved(saves or Saves(scratch / "saves"), instead=scratch / "saves") as (own, lock):
            newest = own.newest()
            if newest:
                log.info("%s: it goes on from step %d, which was saved before it was killed", label, step_of(newest))
            job = {
                "weights": str(folder),
                "source": source,
                "checkpoint": str(scratch / "checkpoint"),
                "history": str(scratch / "history.jsonl"),
                "facts": str(scratch / "facts.json"),
                "saves": str(own.folder),
                "resume": newest and str(newest),
                "rows": str(scratch / "rows.parquet"),
                "tokens": str(scratch / "tokens.arrow"),
                "lora": student.lora and student.lora.model_dump(),
                "training": {
                    **student.training.model_dump(mode="json"),
                    "rows_at_once": student.training.rows_in_a_process,
                },
                "chat_template_kwargs": dict(template_kwargs or {}),
                "seed": seed,
                "address": address,
                "prompt_tokens": student.prompt_tokens,
                "rollouts": str(own.folder / ROLLOUTS),
                **(rewarded._asdict() if rewarded else {}),
            }
            path = scratch / "job.json"
            with explain_full_disk(scratch):
                write_rows(Path(job["rows"]), rows, OF_A_PROMPT if rewarded else OF_A_ROW)
                path.write_text(json.dumps(job))
            if others := elsewhere(job["training"], path):
                log.warning("%s: %s", label, others)
            history = self._run(label, scratch, command(job["training"], path), lock)
            if rewarded:
                with explain_full_disk(scratch):
                    shutil.copytree(job["rollouts"], scratch / ROLLOUTS)
        facts = json.loads(Path(job["facts"]).read_text())
        return Trained(Path(job["checkpoint"]), history, facts, scratch / ROLLOUTS)

    def _run(self, label: str, scratch: Path, command: list[str], lock: int | None) -> list[Row]:
        # Its modules are these, whatever packages stand in the working directory.
        own = {"PYTHONPATH": str(PACKAGES), "PYTHONSAFEPATH": "1", "TOKENIZERS_PARALLELISM": "false"}
        environment = {**os.environ, **own}
        history = History(scratch / "history.jsonl")
        with (
            (scratch / "output.log").open("w") as output,
            # Its input ends with this process, however that ends: so does it. It holds the saves and the GPUs until then.
            subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=[*gpus.held(), *([] if lock is None else [lock])],
            ) as process,
            track(label, 0, "steps") as progress,
        ):
            try:
                running = True
                while running:
                    running = process.poll() is None
                    for row in history.new_rows():
                        if "note" in row:
                            log.warning("%s: %s", label, row["note"])
                            continue
                        if "loss" in row:
                            progress.total_is(row["steps"])
                            reward = row.get("reward")  # None where a step shares the rollouts of the one before it
                            told = f"loss {row['loss']:.3f}" if reward is None else f"reward {reward:.2f}"
                            progress.advance(1, note=f"{told}, lr {row['learning_rate']:.1e}")
                    time.sleep(SECONDS_BETWEEN_LOOKS if running else 0)
            finally:
                process.kill()
        if process.returncode != 0:
            output = (scratch / "output.log").read_text(errors="replace")
            first = ROOT_CAUSE.search(output)  # of several processes
            status = int(first[1]) if first else process.returncode
            failed = TrainingDiedError if status < 0 else TrainingError
            end = LAUNCHER.split(output, maxsplit=1)[0].splitlines()[-LINES_SHOWN_OF_A_FAILURE:]
            raise failed("\n".join([f"training ended with status {status}:", *end]))
        return steps_of(history.rows)


def write_rows(path: Path, rows: Iterable[Row], columns: Sequence[str] = OF_A_ROW) -> None:
    """Write what a training reads of its rows, with few of them in memory."""
    schema = pa.schema({name: pa.string() for name in columns})
    with pq.ParquetWriter(path, schema) as file:
        for part in batches(rows, ROWS_AT_ONCE):
            file.write_table(pa.table({name: [row[name] for row in part] for name in schema.names}, schema))


def steps_of(history: Sequence[Row]) -> list[Row]:
    """Return a row a step of what a training wrote; ``validation_loss`` is None at a step after which it was not taken."""
    validated = {row["step"]: row["validation_loss"] for row in history if "validation_loss" in row}
    return [
        {name: value for name, value in row.items() if name != "steps"}
        | {"validation_loss": validated.get(row["step"])}
        for row in history
        if "loss" in row
    ]


def refuse_untrainable(source: str, template_kwargs: Mapping[str, Any], folder: Path | None = None) -> None:
    """Raise TrainingError, by the model's name, where its chat template cannot be trained on as it is asked."""
    try:
        targets_of(source, folder or weights.fetch_tokenizer(source), template_kwargs)
    except TemplateError as error:
        raise TrainingError(str(error)) from None


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
