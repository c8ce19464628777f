"""What commands share: the experiment they are about, and where they print."""

import functools
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.experiment.loading import experiment_path, load_experiment
from gsr_dagster.experiment.settings import RolloutSettings

Named = tuple[Path, Experiment]  # an experiment's file, and what it says
HELP = "A YAML file, or the name of one that is shipped. [$GSR_EXPERIMENT]"
# What is printed may come from a model: it is no markup, and names no emoji.
console = Console(highlight=False, markup=False, emoji=False)
if not (console.is_terminal or "COLUMNS" in os.environ):
    console.width = 160  # of a file or a pipe, where 80 would fold the tables


def with_experiment(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command its experiment as the first argument: -e names it, before or after the command."""
    return _with_loaded(command, with_inputs=False)


def with_experiment_and_inputs(command: Callable[..., Any]) -> Callable[..., Any]:
    """As ``with_experiment``, of an experiment whose files of problems and samples are there."""
    return _with_loaded(command, with_inputs=True)


def _with_loaded(command: Callable[..., Any], with_inputs: bool) -> Callable[..., Any]:
    @click.option("--experiment", "-e", multiple=True, help=HELP)
    @click.pass_context
    @functools.wraps(command)
    def with_loaded(context: click.Context, experiment: Sequence[str], **arguments: Any) -> Any:
        names = _names(context, experiment)
        if len(names) > 1:
            raise click.UsageError(f"{', '.join(names)}: this command is about one experiment, and -e names it")
        return command(named_experiment(names[0] if names else None, with_inputs), **arguments)

    return with_loaded


def with_experiments(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command its experiments as the first argument, each with its file: an -e each, before or after it."""

    @click.option("--experiment", "-e", multiple=True, help=f"{HELP} Another -e names another one.")
    @click.pass_context
    @functools.wraps(command)
    def with_loaded(context: click.Context, experiment: Sequence[str], **arguments: Any) -> Any:
        paths = dict.fromkeys(experiment_path(name) for name in _names(context, experiment) or (None,))
        return command([(path, load_experiment(path)) for path in paths], **arguments)

    return with_loaded


def _names(context: click.Context, after: Sequence[str]) -> list[str]:
    """Return the experiments that are named after the command, else before it, else in the environment."""
    named = list(after or context.find_root().params.get("experiment") or ())
    everywhere = os.environ.get("GSR_EXPERIMENT", "")
    if named or "," not in everywhere or Path(everywhere).expanduser().exists():
        return named
    return [name for part in everywhere.split(",") if (name := part.strip())]


def named_experiment(name: str | None, with_inputs: bool = False) -> Experiment:
    """Return the experiment of a file, and make it the one that Dagster's processes load."""
    path = experiment_path(name)
    experiment = load_experiment(path, with_inputs)
    os.environ["GSR_EXPERIMENT"] = str(path)
    return experiment


def of_defaults(experiment: Experiment) -> Iterator[str]:
    """Yield a line that names the evaluation's settings that the file leaves out, with their defaults."""
    evaluation = experiment.evaluation
    said = []
    for name in ("direct", "refinement"):
        settings: RolloutSettings = getattr(evaluation, name)
        left_out = [key for key in ("temperature", "max_new_tokens") if key not in settings.model_fields_set]
        said += [f"{name}: {key} {getattr(settings, key)}" for key in left_out]
    if "candidate_tokens" not in evaluation.model_fields_set:
        said.append(f"candidate_tokens {evaluation.candidate_tokens}")
    if said:
        yield f"The experiment file leaves out these settings of the evaluation, so their defaults are used: {', '.join(said)}."
