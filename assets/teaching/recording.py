"""What a student was taught with, written as recorded samples: elsewhere it can be taught with them again.

A folder for each model: `samples.parquet`, which the recorded engine reads, and `made_with.json`,
which says how the samples were drawn. Right and wrong ones are there: rejection happens again.
"""

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

from assets.recorded_pools import recorded_id
from assets.teaching.teaching_run import TeachingRun
from gsr_dagster.experiment.errors import UserError
from gsr_dagster.method.rows import Row
from resources.engines.base import chat_sha256
from resources.problems.recorded_samples import DRAWN, write_samples
from resources.store.files import write_atomically


class RecordingError(UserError, ValueError):
    """Samples that cannot be recorded; the message says why."""


def record_teaching(run: TeachingRun, folder: Path) -> dict[str, int]:
    """Write what a student was taught with, in a folder for each model, and return how many samples of each.

    Raises RecordingError where one model gave both candidates and solutions, or candidates were
    shortened, ArtifactError where something was not drawn yet.
    """
    student = run.student
    drawn_from = {
        "training_candidates": student.sampler,
        "teacher_refinements": student.refiner,
        "teacher_solutions": student.solver,
    }
    drawn_from = {asset: model for asset, model in drawn_from.items() if student.samples(asset)}
    if drawn_from.get("training_candidates") == drawn_from.get("teacher_solutions"):
        raise RecordingError(
            f"{student.sampler} gave both candidates and solutions, of the same problems: a recording does not tell them "
            "apart. A student whose solver is another model than its sampler can be recorded"
        )
    rows: dict[str, list[Row]] = defaultdict(list)
    made_with: dict[str, dict[str, Any]] = defaultdict(dict)
    for asset, model in drawn_from.items():
        manifest = run.store.existing(run.key(asset))
        if shortened := manifest.summary.get("shortened_candidates"):
            raise RecordingError(
                f"{shortened} candidates were shortened for the prompts of {model}, by its tokenizer, which a recording has "
                "not: evaluation.candidate_tokens must hold all k candidates whole"
            )
        rows[model] += [_recorded(row) for row in run.read_wanted(asset)]
        made_with[model][asset] = {
            "fingerprint": manifest.fingerprint,
            "settings": manifest.settings,
            "upstream": manifest.upstream,
        }
    for model, of_model in rows.items():
        write_samples(folder / model, of_model, run.experiment.k)
        document = {"experiment": run.experiment.name, "student": run.name, "model": model, **made_with[model]}
        write_atomically(folder / model / "made_with.json", (json.dumps(document, indent=1) + "\n").encode())
    return {model: len(of_model) for model, of_model in rows.items()}


def _recorded(row: Row) -> Row:
    _, prompt_id = row["prompt_id"].split("/", 1)  # without its model
    ids = {"problem_id": recorded_id(row["problem_id"]), "prompt_id": recorded_id(prompt_id)}
    drawn = {name: row[name] for name in ("sample_index", *DRAWN)}
    student_tokens = row.get("student_prompt_tokens") or row["prompt_tokens"]
    student = {"student_chat": chat_sha256(json.loads(row["messages"])), "student_prompt_tokens": student_tokens}
    return {**ids, **drawn, "prompt_sha256": row["prompt_sha256"], **student}
