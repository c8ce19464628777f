"""W&B offline, by its own client: what stands in the file that `wandb sync` sends."""

import json
import struct
from pathlib import Path
from typing import Any

import pytest

from gsr_dagster.experiment.tracking import WandB
from resources.tracking.tracked_run import TrackedRun
from resources.tracking.tracker import NotTrackedError, Tracker

pytest.importorskip("wandb")
KEY = "planted" * 6
CURVE = [{"step": 1, "loss": 2.0, "validation_loss": None}, {"step": 2, "loss": 1.5, "validation_loss": 1.7}]
RUN = TrackedRun("training", {"seed": 0, "lora": {"rank": 16}}, {"last_loss": 1.5}, CURVE)
# The blocks of LevelDB's log format, in which the file is written: a head of 7 bytes, then records in blocks.
HEAD, BLOCK = 7, 32768
WHOLE, LAST = 1, 4


def records_of(path: Path) -> list[tuple[str, Any]]:
    """Return what a file of W&B holds: the kind of each record, and the record."""
    from wandb.proto.wandb_internal_pb2 import Record  # pyright: ignore

    content, place, part, found = path.read_bytes(), HEAD, b"", []
    while place + HEAD <= len(content):
        if (left := BLOCK - place % BLOCK) < HEAD:
            place += left
            continue
        _, length, kind = struct.unpack("<IHB", content[place : place + HEAD])
        part += content[place + HEAD : place + HEAD + length]
        place += HEAD + length
        if kind in (WHOLE, LAST):
            record = Record.FromString(part)
            part = b""
            found.append((name := record.WhichOneof("record_type"), getattr(record, name)))
    return found


def values(items) -> dict[str, Any]:
    return {item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in items}


def test_a_run_is_written_whole_and_once_and_tells_no_key(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    tracker = Tracker("mine", WandB(kind="wandb", project="gsr", mode="offline"), tmp_path)
    tags = {"gsr.data_version": "f00d" * 16, "gsr.asset": "lora_checkpoints"}
    sent = [tracker.send("lora_checkpoints[tiny]", RUN, tags, {"Artifact": "s3://b/p"}, 1) for _ in range(2)]
    assert sent[0] == sent[1]
    (folder,) = tmp_path.glob("wandb/offline-run-*")
    assert sent[0] == str(folder)
    (path,) = folder.glob("*.wandb")
    records = records_of(path)
    (run,) = [record for kind, record in records if kind == "run"]
    assert (run.project, run.display_name, run.job_type) == ("gsr", "lora_checkpoints[tiny]", "training")
    assert run.notes == "Artifact: `s3://b/p`"
    assert values(run.config.update).items() >= {"seed": 0, "lora": {"rank": 16}, **tags}.items()
    curve = [values(record.item) for kind, record in records if kind == "history"]
    assert [(row["_step"], row["loss"], row.get("validation_loss")) for row in curve] == [(1, 2, None), (2, 1.5, 1.7)]
    summary = [values(record.update) for kind, record in records if kind == "summary"]
    assert {"last_loss": 1.5} in summary
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert not [file for file in files if KEY.encode() in file.read_bytes()]


def test_a_server_that_is_not_there_is_not_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr("resources.tracking.tracker.SECONDS", 3)
    for name, value in {"WANDB_API_KEY": KEY, "WANDB_BASE_URL": "http://127.0.0.1:9", "HOME": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(NotTrackedError, match=r"^the server was not done within 3 s$"):
        Tracker("mine", WandB(kind="wandb"), tmp_path).send("x", RUN, {"gsr.data_version": "f"}, {}, 1)
