"""`gsr import`: recorded samples become an experiment without a model, and are scored at once."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from assets.scoring import as_graded, by_problem, gap_summary, graded_rows, score_groups, scored
from gsr_dagster.experiment import Experiment
from gsr_dagster.experiment_file import load_experiment
from gsr_dagster.method.scores import pool_scores
from resources.artifacts import ArtifactError
from resources.grader import Grader
from resources.objects import write_atomically
from resources.problems import load_problems
from resources.recorded import Imported, read_recorded, read_samples, write_recorded

HEADER = """\
# Written by gsr import: recorded samples of {model}, run by `gsr -e {folder}/experiment.yaml run`.
# The rollout settings below only name what was recorded: set them to what it was.
"""


def import_samples(
    files: Sequence[Path],
    folder: Path,
    form: str,
    fields: Mapping[str, str],
    model: str,
    parameters: float,
    k: int,
    domain: str,
    most: int | None,
) -> Imported:
    """Write a folder of recorded samples with an experiment file, and return what was written.

    Raises ImportFileError, and ExperimentError where the model's key is no FAMILY-SCALE.
    """
    samples = [sample for file in files for sample in read_recorded(file, form, fields)]
    path = folder / "experiment.yaml"
    path.unlink(missing_ok=True)  # without it, what an earlier import left half-way is not taken for an experiment
    imported = write_recorded(samples, folder, k, most)
    family, _, scale = model.partition("-")
    per_problem = imported.samples // imported.problems
    rollout = {"temperature": 1.0, "max_new_tokens": 4096}
    document = {
        "name": folder.name,
        "k": min(k, per_problem),
        "families": {family: {scale: {"parameters": parameters, "engine": {"kind": "recorded", "path": "."}}}},
        "benchmarks": {"recorded": {"source": "file:problems.jsonl", "samples": per_problem, "domain": domain}},
        "evaluation": {"direct": rollout, "refinement": dict(rollout), "candidate_tokens": 6144},
    }
    text = HEADER.format(model=model, folder=folder.name) + yaml.safe_dump(document, sort_keys=False)
    write_atomically(path, text.encode())
    load_experiment(path)
    return imported


def recorded_scores(folder: Path, grader: str) -> dict[str, Any]:
    """Return a gap report's summary of an imported folder, or the pool's scores alone where nothing was refined."""
    experiment = load_experiment(folder / "experiment.yaml")
    (benchmark,), (subject,) = experiment.benchmarks, experiment.models
    problems = load_problems(benchmark, experiment.benchmarks[benchmark]).rows
    asked = {row["problem_id"] for row in problems}  # an empty problem, or one that stands there twice, is left out
    candidates, refinements = (
        [r for r in rows if r["problem_id"] in asked] for rows in _rows(folder, benchmark, subject)
    )
    judge, model = Grader(name=grader), experiment.models[subject]
    graded = graded_rows(judge, "candidates", problems, candidates, model)
    if not refinements:
        return _pool_summary(experiment, graded)
    refined = graded_rows(judge, "refinements", problems, refinements, model)
    groups, _ = score_groups(experiment, subject, graded, refined)
    return gap_summary(experiment, graded, groups)


def _rows(folder: Path, benchmark: str, subject: str) -> tuple[list[dict], list[dict]]:
    """Return candidates and refinements as the assets have them."""
    candidates, refinements = [], []
    for row in read_samples(folder):
        refines = row["prompt_id"] != row["problem_id"]
        prompt_id = f"{subject}/{benchmark}/{row['prompt_id']}"
        sample_id = {"refinement_id" if refines else "candidate_id": f"{prompt_id}/{row['sample_index']}"}
        named = {"problem_id": f"{benchmark}/{row['problem_id']}", "prompt_id": prompt_id, "candidate_ids": []}
        (refinements if refines else candidates).append({**row, **sample_id, **named})
    return candidates, refinements


def _pool_summary(experiment: Experiment, graded: Sequence[dict]) -> dict[str, Any]:
    curves = [pool_scores([as_graded(row) for row in rows]) for rows in by_problem(scored(graded)).values()]
    if not curves:
        raise ArtifactError("no gold of the recorded problems can be read: nothing can be scored")
    pass_at_k, maj_at_k = (np.mean(curve, axis=0) for curve in zip(*curves, strict=True))
    k = experiment.k
    scores = {"pass_at_1": pass_at_k[0], "maj_at_k": maj_at_k[k - 1], "pass_at_k": pass_at_k[k - 1]}
    every = {"pool_maj_at_k": maj_at_k.tolist(), "pool_pass_at_k": pass_at_k.tolist()}
    return {"problems": len(curves), "k": k, **{name: float(value) for name, value in scores.items()}, **every}
