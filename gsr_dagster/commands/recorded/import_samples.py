"""`gsr import`: recorded samples become an experiment without a model, and are scored at once."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import get_args

import click
from rich.table import Table

from assets.evaluation.gap_reports import score_groups
from assets.grading import graded_rows, scorable, scored, unscored_problems
from gsr_dagster.commands.options import console
from gsr_dagster.commands.tables import POOL_SCORES, difference, new_table
from gsr_dagster.experiment.engines import RecordedSamples
from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.experiment.loading import load_experiment
from gsr_dagster.experiment.problems.datasets import Domain
from gsr_dagster.method.candidate_pool import CandidatePool
from gsr_dagster.method.rows import Row
from gsr_dagster.method.scoring.gap_summary import GapSummary, gap_summary
from resources.grading.grader import Grader
from resources.problems.forms.fields import FIELDS, Reading
from resources.problems.import_experiment import ImportedExperiment, ImportSettings, group_size, write_experiment
from resources.problems.importers import FORMS, read_files, read_problems
from resources.problems.model_names import NamedModel, named_models, parameters_of, size_of
from resources.problems.recorded_samples import Recorded, read_samples
from resources.problems.repeats import told_apart, without_repeats
from resources.problems.sources import load_problems
from resources.progress import terminal_bars
from resources.reporting.numbers import percent, vote_and_refinement
from resources.reporting.pools import pool_notes, pool_points
from resources.texts import printable

# How many samples are listed whose label differs from our verdict.
MOST_LISTED = 5
THINKS = ("<think>", "</think>")


@dataclass(frozen=True)
class JudgedImport:
    """The graded samples of a model on a benchmark, and what of its problems was left out, by the reason."""

    experiment: Experiment
    benchmark: str
    subject: str
    golds: dict[str, str]
    candidates: list[Row]
    refinements: list[Row]
    left_out: dict[str, int]

    @property
    def title(self) -> str:
        """The model, and on which benchmark where there are several."""
        several = len(self.experiment.benchmarks) > 1
        return f"{self.subject} on {self.benchmark}" if several else self.subject

    def gold(self, problem_id: str) -> str:
        """Return a problem with its gold, shortened."""
        return f"{problem_id.partition('/')[2][:60]} with the gold {self.golds[problem_id][:60]!r}"


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
@click.option("--group-by", "benchmark", help="The field that names a sample's benchmark, where there are several.")
@click.option("--model-column", "model", help="The field that names a sample's model, where there are several.")
@click.option(
    "-k", type=click.IntRange(1), help="Candidates in a group; as the refinements have, and else 4, by default."
)
@click.option("--samples", type=click.IntRange(1), help="At most so many samples of a problem; all by default.")
@click.option("--domain", default="math", show_default=True, type=click.Choice(get_args(Domain)))
@click.option("--thinking-end", help="What ends the models' thinking, as in '</think>': only what follows is read.")
def command(
    files, folder, keys, parameters, form, fields, problems, benchmark, model, k, samples, domain, thinking_end
) -> None:
    """Make an experiment of samples that someone drew before, and print its scores.

    A file is JSON lines, a JSON list or CSV (or .gz of it) or Parquet with a row a sample:
    problem_id, problem, answer, response, and where known generated_tokens, finish_reason,
    label and logprobs. A response can be a list of a problem's samples. A row with candidates, the
    texts it was shown, is a refinement.
    """
    mapped = dict(field.partition("=")[::2] for field in fields)
    if unknown := set(mapped) - set(FIELDS):
        raise click.ClickException(f"--field {', '.join(unknown)}: there are {', '.join(FIELDS)}")
    if empty := [field for field, name in mapped.items() if not name]:
        raise click.ClickException(f"--field {', '.join(empty)}: write FIELD=NAME, as in response=text")
    known = None if problems is None else read_problems(problems)
    reading = Reading(mapped, benchmark=benchmark, model=model, problems=known, thinking_end=thinking_end)
    read = told_apart(without_repeats(read_files(files, form, reading), reading))
    models = _models(read, model, keys, parameters)
    settings = ImportSettings(group_size(read, k), domain, samples, thinking_end)
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
    if imported.tokens_are_words:
        _say("No token counts were recorded: words are counted instead.")
    told = (
        _of_confidences(imported),
        _of_unknown_sizes(models),
        _of_thinking(read, models, thinking_end),
        _of_other_sizes(read, settings.k),
    )
    for line in chain.from_iterable(told):
        _say(line)


def _say(line: str) -> None:
    """Print a line that may hold names and texts of the files."""
    console.print(printable(line), soft_wrap=True)


def _models(
    samples: Sequence[Recorded], column: str | None, keys: Sequence[str], parameters: Sequence[str]
) -> dict[str, NamedModel]:
    """Return the models by their names in the files, "" for the one that has none."""
    if column is not None:
        return named_models(list(dict.fromkeys(sample.model for sample in samples)), keys, parameters)
    if not keys:
        raise click.UsageError("--model is missing. Of several models in the files, --model-column names their field")
    for option, given in {"--model": keys, "--parameters": parameters}.items():
        if len(given) > 1:
            raise click.UsageError(
                f"{option} stands there twice. Of several models in the files, --model-column names their field"
            )
    return {"": NamedModel(keys[0], parameters_of(parameters[0]) if parameters else size_of(keys[0]))}


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
    for line in _of_labels(judged):
        _say(line)


def _of_labels(judged: JudgedImport) -> Iterator[str]:
    """Yield how often our verdicts differ from the labels that came with the samples, and the first that do."""
    rows = [row for row in scored(judged.candidates + judged.refinements) if row["label"] is not None]
    labelled = [row for row in rows if row["label"] in (0, 1)]
    if len(labelled) < len(rows):
        yield f"Labels: {len(rows) - len(labelled)} are neither 0 nor 1: kept, and not compared."
    differ = [row for row in labelled if row["correct"] != bool(row["label"])]
    if labelled:
        yield f"Labels: {len(differ)} of {len(labelled)} differ from ours{', first:' if differ else '.'}"
    for row in differ[:MOST_LISTED]:
        theirs = "right" if row["label"] else "wrong"
        said = "no answer" if row["answer"] is None else f"the answer {row['answer'][:60]!r}"
        yield f"  {row['prompt_id']} ({row['sample_index']}) is labelled {theirs}, {row['verdict']} here: {said}, {judged.gold(row['problem_id'])}"


def _of_thinking(samples: Sequence[Recorded], models: Mapping[str, NamedModel], end: str | None) -> Iterator[str]:
    """Yield what there is to say of thinking: that nobody named its end, or which texts never end it."""
    for name, model in models.items():
        texts = [text for sample in samples if sample.model == name for text in (sample.text, *sample.candidates)]
        if end is None:
            if thinking := sum(any(mark in text for mark in THINKS) for text in texts):
                yield (
                    f"Warning: {thinking} of {len(texts)} texts of {model.key} hold <think> or </think>, and no end of "
                    "thinking was named: boxes in the thinking are read as answers. Say --thinking-end '</think>'."
                )
        elif endless := sum(end not in text for text in texts):
            everywhere = " If the model does not think, leave --thinking-end out." if endless == len(texts) else ""
            yield f"{endless} of {len(texts)} texts of {model.key} hold no {end!r}: they have no answer.{everywhere}"


def _of_confidences(imported: ImportedExperiment) -> Iterator[str]:
    """Yield how many candidates have the confidences of their tokens, and what the others are in the way of."""
    if imported.confident:
        without = imported.samples - imported.confident
        lacking = f" {without} have none: confidence_vote and confidence_stop need them of all." if without else ""
        yield (
            f"Confidences of tokens: {imported.confident} of {imported.samples} candidates have them, of the "
            f"{imported.logprobs} likeliest tokens in each place.{lacking}"
        )


def _of_unknown_sizes(models: Mapping[str, NamedModel]) -> Iterator[str]:
    """Yield which models have no size: their keys say none, and nobody gave one."""
    if unknown := [model.key for model in models.values() if model.parameters is None]:
        yield (
            f"Note: the number of parameters of {', '.join(unknown)} is unknown: tables hold them, and no curve against "
            "size does. Give it with --parameters."
        )


def _of_other_sizes(samples: Sequence[Recorded], k: int) -> Iterator[str]:
    """Yield which -k would take the refinements that were left out."""
    sizes = Counter(len(sample.candidates) for sample in samples if sample.candidates)
    for size, count in sorted(sizes.items()):
        if size != k:
            yield f"{count} refinements were shown {size} candidates: -k {size} takes them instead."


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


def judged_imports(folder: Path, grader: Grader) -> Iterator[JudgedImport]:
    """Yield the graded samples of each model on each benchmark of an imported folder."""
    experiment = load_experiment(folder / "experiment.yaml")
    for key in experiment.evaluations("base"):
        loaded = load_problems(key.benchmark, experiment.benchmarks[key.benchmark])
        model = experiment.models[key.subject]
        assert isinstance(model.engine, RecordedSamples)
        known = {row["problem_id"] for row in loaded.rows}  # those that are left out are counted
        rows = _rows(model.engine.path, key.benchmark, key.subject)
        candidates, refinements = (
            graded_rows(grader, label, loaded.rows, [row for row in of if row["problem_id"] in known], model)
            for label, of in zip(("candidates", "refinements"), rows, strict=True)
        )
        golds = {row["problem_id"]: row["answer"] for row in loaded.rows}
        yield JudgedImport(experiment, key.benchmark, key.subject, golds, candidates, refinements, loaded.left_out)


def score_import(judged: JudgedImport) -> GapSummary:
    """Return the scores of a model on a benchmark. Raises ArtifactError where no gold can be read."""
    experiment = judged.experiment
    pool = CandidatePool.of(judged.subject, scorable(judged.candidates), experiment.k, experiment.seed)
    groups, _ = score_groups(pool, judged.refinements)
    return gap_summary(pool, groups, len(unscored_problems(judged.candidates)))


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
