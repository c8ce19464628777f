"""`gsr import`: recorded samples become an experiment without a model, and are scored at once."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import get_args

import click
import yaml
from rich.table import Table

from assets.evaluation.gap_reports import score_groups
from assets.grading import graded_rows, scorable, unscored_problems
from gsr_dagster.commands.options import console
from gsr_dagster.commands.tables import POOL_SCORES, difference, new_table
from gsr_dagster.experiment.datasets import Domain
from gsr_dagster.experiment.loading import load_experiment
from gsr_dagster.method.candidate_pool import CandidatePool
from gsr_dagster.method.rows import Row
from gsr_dagster.method.scoring.gap_summary import GapSummary, gap_summary
from resources.grading.grader import Grader
from resources.problems.importers import FIELDS, FORMS, read_recorded
from resources.problems.recorded_samples import Imported, read_samples, write_recorded
from resources.problems.sources import load_problems
from resources.progress import terminal_bars
from resources.reporting.numbers import percent, vote_and_refinement
from resources.reporting.pools import pool_notes, pool_points
from resources.store.files import write_atomically

HEADER = """\
# Written by gsr import: recorded samples of {model}, run by `gsr -e {folder}/experiment.yaml run`.
# The rollout settings below only name what was recorded: set them to what it was.
"""


@click.command("import")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--to", "folder", required=True, type=click.Path(path_type=Path), help="The folder to write.")
@click.option("--model", required=True, help="Its key, FAMILY-SCALE, as in qwen2.5math-1.5b.")
@click.option("--parameters", required=True, type=float, help="As in 1.5e9.")
@click.option(
    "--from", "form", default="rows", show_default=True, type=click.Choice(FORMS), help="Who wrote the files."
)
@click.option(
    "--field", "fields", multiple=True, help="FIELD=NAME where a field has another name, as in response=text."
)
@click.option("-k", default=4, show_default=True, type=click.IntRange(1), help="Candidates in a group.")
@click.option("--samples", type=click.IntRange(1), help="At most so many samples of a problem; all by default.")
@click.option("--domain", default="math", show_default=True, type=click.Choice(get_args(Domain)))
def command(files, folder, model, parameters, form, fields, k, samples, domain) -> None:
    """Make an experiment of samples that someone drew before, and print its scores.

    A file is JSON lines (or .gz of it) or Parquet with a row a sample: problem_id, problem,
    answer, response, and where known generated_tokens and finish_reason. A row with
    candidates, the texts it was shown, is a refinement.
    """
    mapped = dict(field.partition("=")[::2] for field in fields)
    if unknown := set(mapped) - set(FIELDS):
        raise click.ClickException(f"--field {', '.join(unknown)}: there are {', '.join(FIELDS)}")
    imported = import_samples(files, folder, form, mapped, model, parameters, k, domain, samples)
    with terminal_bars():
        scores = score_import(folder, Grader())
    console.print(recorded_table(model, scores))
    for note in pool_notes(scores):
        console.print(f"Note: {note}.", soft_wrap=True)
    console.print(
        f"{imported.problems} problems, {imported.samples} candidates, {imported.refinements} refinements in {folder}."
    )
    for reason, count in imported.left_out.items():
        console.print(f"Left out: {count} {reason}.")
    if imported.tokens_are_words:
        console.print("No token counts were recorded: words are counted instead.")


def recorded_table(model: str, scores: GapSummary) -> Table:
    """Return pass@k and maj@k of a recorded pool for k = 1, 2, 4 ... n, and beside them what refining made of its groups.

    The vote beside a refinement is the one on the very groups that were refined: their difference is the gap.
    """
    counted = ["problems"] if scores.problems_at_k else []
    refined = ["groups", "maj of groups", "selfRef@k", "gap"] if scores.refined else []
    title = f"{model}: {scores.problems} problems, in percent"
    table = new_table(title, "k", *counted, *POOL_SCORES, *refined)
    for point in pool_points(scores):
        row = [str(point.k), *([str(point.problems)] if counted else [])]
        row += [percent(point.pass_at_k), percent(point.maj_at_k)]
        if scores.refined and point.k == scores.k:
            gap = difference(scores.intervals["refinement_gap"])
            row += [str(scores.groups), *vote_and_refinement(scores), gap]
        table.add_row(*row)
    return table


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
    rollout = {"temperature": 1.0, "max_new_tokens": 4096}
    document = {
        "name": folder.name,
        "k": min(k, imported.most),
        "families": {family: {scale: {"parameters": parameters, "engine": {"kind": "recorded", "path": "."}}}},
        "benchmarks": {"recorded": {"source": "file:problems.jsonl", "samples": imported.most, "domain": domain}},
        "evaluation": {"direct": rollout, "refinement": dict(rollout), "candidate_tokens": 6144},
    }
    text = HEADER.format(model=model, folder=folder.name) + yaml.safe_dump(document, sort_keys=False)
    write_atomically(path, text.encode())
    load_experiment(path)
    return imported


def score_import(folder: Path, grader: Grader) -> GapSummary:
    """Return the scores of an imported folder. Raises ArtifactError where no gold can be read."""
    experiment = load_experiment(folder / "experiment.yaml")
    (benchmark,), (subject,) = experiment.benchmarks, experiment.models
    problems = load_problems(benchmark, experiment.benchmarks[benchmark]).rows
    known = {row["problem_id"] for row in problems}  # an empty problem, or one that stands there twice, is left out
    candidates, refinements = (
        [r for r in rows if r["problem_id"] in known] for rows in _rows(folder, benchmark, subject)
    )
    model = experiment.models[subject]
    judged = graded_rows(grader, "candidates", problems, candidates, model)
    pool = CandidatePool.of(subject, scorable(judged), experiment.k, experiment.seed)
    groups, _ = score_groups(pool, graded_rows(grader, "refinements", problems, refinements, model))
    return gap_summary(pool, groups, len(unscored_problems(judged)))


def _rows(folder: Path, benchmark: str, subject: str) -> tuple[list[Row], list[Row]]:
    """Return candidates and refinements as the assets have them."""
    candidates, refinements = [], []
    for row in read_samples(folder):
        refines = row["prompt_id"] != row["problem_id"]
        prompt_id = f"{subject}/{benchmark}/{row['prompt_id']}"
        sample_id = {"refinement_id" if refines else "candidate_id": f"{prompt_id}/{row['sample_index']}"}
        named = {"problem_id": f"{benchmark}/{row['problem_id']}", "prompt_id": prompt_id, "candidate_ids": []}
        (refinements if refines else candidates).append({**row, **sample_id, **named})
    return candidates, refinements
