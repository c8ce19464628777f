"""Ways to rewrite the artifacts of the finished school, so that a check has something to find."""

import json
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import numpy as np
from safetensors.numpy import save_file

from gsr_dagster.experiment.keys import ArtifactKey
from gsr_dagster.method.rows import Row
from tests.running import recipe_of
from tests.school import STUDENT, School

BASE, TRAINED = "sums|llama-tiny", f"sums|{STUDENT}"
LANES = {"base": BASE, "student": TRAINED}
WARN, ERROR = dg.AssetCheckSeverity.WARN, dg.AssetCheckSeverity.ERROR


def every(count: int, **values: object) -> Callable[[list[Row]], list[Row]]:
    """Return what gives the first rows these values."""
    return lambda rows: [{**row, **values} if number < count else row for number, row in enumerate(rows)]


def changed_student(school: School, **changes: object) -> dict[str, dict]:
    """Return the part of the experiment file with the student changed."""
    return {"students": {STUDENT: {**school.written["students"][STUDENT], **changes}}}


def without_first(rows: list[Row]) -> list[Row]:
    return rows[1:]


def same_text(rows: list[Row]) -> list[Row]:
    return [{**row, "text": f"The answer to {row['prompt_id']} is \\boxed{{1}}."} for row in rows]


def leaked(rows: list[Row]) -> list[Row]:
    chat = json.loads(rows[0]["messages"])
    left, right = map(int, rows[0]["problem_id"].removeprefix("training/").split("-"))
    chat[-1]["content"] += f"\n\nThe gold is {left + right}."
    return [{**rows[0], "messages": json.dumps(chat)}, *rows[1:]]


def without_refinements_of_all_wrong(rows: list[Row]) -> list[Row]:
    return [row for row in rows if row["kind"] == "direct"]


def adapter(school: School, a: float, b: float) -> None:
    """Publish the checkpoint again with an adapter of these values."""
    key = ArtifactKey("lora_checkpoints", STUDENT)
    recipe, before = recipe_of(school.experiment, school.store, key), school.store.existing(key)
    folder = Path(school.store.root).parent / "adapter"
    folder.mkdir()
    parts = {"q.lora_A.weight": np.full((2, 4), a, np.float32), "q.lora_B.weight": np.full((4, 2), b, np.float32)}
    save_file(parts, folder / "adapter_model.safetensors")
    files = school.store.put_files(recipe, folder)
    school.store.publish(recipe, before.shards, before.summary, files, replaced=before)
