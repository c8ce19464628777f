"""`gsr import`: recorded samples become an experiment without a model, and are scored at once."""

from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import get_args

import click
from rich.table import Table

from assets.grading import unscored_problems
from gsr_dagster.commands.options import console
from gsr_dagster.commands.recorded.import_notes import (
    of_columns,
    of_confidences,
    of_labels,
    of_other_sizes,
    of_scores,
    of_thinking,
    of_unknown_sizes,
)
from gsr_dagster.commands.recorded.judged_import import JudgedImport, judged_imports, score_import
from gsr_dagster.commands.tables import POOL_SCORES, difference, new_table
from gsr_dagster.experiment.problems.datasets import Domain
from gsr_dagster.method.scoring.gap_summary import GapSummary
from resources.grading.grader import Grader
from resources.problems.belonging import NamingColumn, named_by, naming_column
from resources.problems.forms.fields import FIELDS, Reading
from resources.problems.import_experiment import ImportSettings, group_size, write_experiment
from resources.problems.importers import FORMS, read_files, read_problems
from resources.problems.model_names import NamedModel, named_models, parameters_of, size_of
from resources.problems.recorded_samples import Recorded
from resources.problems.repeats import SampleFile, told_apart, without_repeats
from resources.progress import terminal_bars
from resources.reporting.numbers import percent, vote_and_refinement
from resources.reporting.pools import pool_notes, pool_points
from resources.texts import printable


@click.command("import")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--to", "folder", required=True, type=click.Path(path_type=Path), help="The folder to write.")
@click.option(
    "--model", "keys", multiple=True, help="Its key, FAMILY-SCALE, as in qwen2.5math-1.5b; of several, NAME=KEY."
)
@click.option(
    "--parameters", multiple=True, help="As in 1.5e9, where the key does not say it; of several models, NAME=NUMBER."
)
@click.option(
    "--from", "form", default="rows", show_default=True, type=click.Choice(FORMS), help="Who wrote the files."
)
@click.option(
    "--field",
    "fields",
    multiple=True,
    help="FIELD=NAME where a field has another name, as in response=text, or response=choices.0.text inside others.",
)
@click.option(
    "--problems", type=click.Path(path_type=Path), help="A file with id, problem and answer, for samples without."
)
@click.option("--group-by", "benchmark", help="The field that names a sample's benchmark; '' for one benchmark.")
@click.option("--model-column", "model", help="The field that names a sample's model; '' for one model.")
@click.option(
    "-k", type=click.IntRange(1), help="Candidates in a group; as the refinements have, and else 4, by default."
)
@click.option("--samples", type=click.IntRange(1), help="At most so many samples of a problem; all by default.")
@click.option(
    "--domain",
    "domains",
    multiple=True,
    help=f"{', '.join(get_args(Domain))}; of one benchmark among several, NAME=DOMAIN.  [default: math]",
)
@click.option("--thinking-end", help="What ends the models' thinking, as in '</think>': only what follows is read.")
def command(
    files, folder, keys, parameters, form, fields, problems, benchmark, model, k, samples, domains, thinking_end
) -> None:
    """Make an experiment of samples that someone drew before, and print its scores.

    A file is JSON lines, a JSON list or CSV (or .gz of it) or Parquet with a row a sample:
    problem_id, problem, answer, response, and where known generated_tokens, prompt_tokens, finish_reason,
    label, score and logprobs, or other names that are usual. A response can be a list of a
    problem's samples. A row with candidates, the texts it was shown, is a refinement.
    """
    mapped = dict(field.partition("=")[::2] for field in fields)
    if unknown := set(mapped) - set(FIELDS):
        raise click.ClickException(f"--field {', '.join(unknown)}: there are {', '.join(FIELDS)}")
    if empty := [field for field, name in mapped.items() if not name]:
        raise click.ClickException(f"--field {', '.join(empty)}: write FIELD=NAME, as in response=text")
    known = None if problems is None else read_problems(problems)
    reading = Reading(mapped, benchmark=benchmark, model=model, problems=known, thinking_end=thinking_end)
    found = read_files(files, form, reading)
    by_benchmark = naming_column(found, "benchmark") if benchmark is None else None
    by_model = _model_column(found, keys) if model is None else None
    found = named_by(found, "benchmark", by_benchmark) if by_benchmark else found
    found = named_by(found, "model", by_model) if by_model else found
    read = told_apart(without_repeats(found, reading))
    models = _models(read, bool(model or by_model), keys, parameters)
    settings = ImportSettings(group_size(read, k), _domains(read, domains), samples, thinking_end)
    imported = write_experiment(read, folder, models, settings)
    with terminal_bars():
        judged = list(judged_imports(folder, Grader()))
    for one in judged:
        _print_scores(one, len(judged))
    console.print(
        f"{imported.problems} problems, {imported.samples} candidates, {imported.refinements} refinements in {folder}."
    )
    for reason, count in (imported.left_out + reading.left_out).items():
        _say(f"Left out: {count} {reason}.")
    for note, count in reading.notes.items():
        _say(f"Note: {count} {note}.")
    if imported.words:
        every = imported.samples + imported.refinements
        _say(
            f"No number of tokens was recorded for {imported.words} of {every} samples: their words are counted instead."
        )
    told = (
        of_columns(reading, by_benchmark, by_model) if form == "rows" else (),
        of_scores(imported),
        of_confidences(imported),
        of_unknown_sizes(models),
        of_thinking(read, models, thinking_end),
        of_other_sizes(read, settings.k),
    )
    for line in chain.from_iterable(told):
        _say(line)


def _say(line: str) -> None:
    """Print a line that may hold names and texts of the files."""
    console.print(printable(line), soft_wrap=True)


def _model_column(files: Sequence[SampleFile], keys: Sequence[str]) -> NamingColumn | None:
    """Return the column that names the models, where --model names none, or several by their names there.

    Raises UsageError where --model names one model, and the column several.
    """
    column = naming_column(files, "model")
    if column is None or not keys or any("=" in key for key in keys):
        return column
    if len(column.names) > 1:
        raise click.UsageError(
            f"--model names one model, and the column {column} several: --model-column {column.column} keeps them apart, "
            "--model-column '' takes all as one"
        )
    return None


def _models(
    samples: Sequence[Recorded], named: bool, keys: Sequence[str], parameters: Sequence[str]
) -> dict[str, NamedModel]:
    """Return the models by their names in the files, "" for the one that has none."""
    if named:
        return named_models(list(dict.fromkeys(sample.model for sample in samples)), keys, parameters)
    if not keys:
        raise click.UsageError("--model is missing. Of several models in the files, --model-column names their field")
    for option, given in {"--model": keys, "--parameters": parameters}.items():
        if len(given) > 1:
            raise click.UsageError(
                f"{option} stands there twice. Of several models in the files, --model-column names their field"
            )
    return {"": NamedModel(keys[0], parameters_of(parameters[0]) if parameters else size_of(keys[0]))}


def _domains(samples: Sequence[Recorded], given: Sequence[str]) -> dict[str, str]:
    """Return the domain of every benchmark by its name in the files: as NAME=DOMAIN says, else DOMAIN, else math."""
    known = get_args(Domain)
    found: dict[str, str] = {sample.benchmark: known[0] for sample in samples}
    for text in sorted(given, key=lambda text: "=" in text):  # what is of one benchmark comes after what is of all
        name, equals, domain = text.rpartition("=")
        if domain not in known:
            raise click.UsageError(f"--domain {text!r}: there are {', '.join(known)}")
        if equals and name not in found:
            raise click.UsageError(f"--domain {text!r}: no benchmark has this name; there are {', '.join(found)}")
        found.update({name: domain} if equals else dict.fromkeys(found, domain))
    return found


def _print_scores(judged: JudgedImport, of: int) -> None:
    """Print a model's table on a benchmark, and what the scores are not of."""
    problems = {row["problem_id"] for row in judged.candidates}
    unscored = unscored_problems(judged.candidates)
    if of == 1 or len(unscored) < len(problems):
        scores = score_import(judged)
        console.print(recorded_table(judged.title, scores))
        for note in pool_notes(scores):
            _say(f"Note: {note}.")
    for reason, count in judged.left_out.items():
        _say(f"Not scored: {count} problems: {reason}.")
    if unscored:
        _say(
            f"Not scored: {len(unscored)} of {len(problems)} problems, whose gold cannot be read, "
            f"first {judged.gold(unscored[0])}."
        )
    if judged.solutions:
        _say(f"Note: {judged.solutions} golds were whole solutions: the answer was read from each.")
    for line in of_labels(judged):
        _say(line)


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
