"""What commands share: the experiment they are about, and where they print."""

import functools
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.experiment.loading import experiment_path, load_experiment

Named = tuple[Path, Experiment]  # an experiment's file, and what it says
HELP = "A YAML file, or the name of one that is shipped. [$GSR_EXPERIMENT]"
# What is printed may come from a model: it is no markup, and names no emoji.
console = Console(highlight=False, markup=False, emoji=False)


def with_experiment(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command its experiment as the first argument: -e names it, before or after the command."""

    @click.option("--experiment", "-e", multiple=True, help=HELP)
    @click.pass_context
    @functools.wraps(command)
    def with_loaded(context: click.Context, experiment: Sequence[str], **arguments: Any) -> Any:
        names = _names(context, experiment)
        if len(names) > 1:
            raise click.UsageError(f"{', '.join(names)}: this command is about one experiment, and -e names it")
        return command(named_experiment(names[0] if names else None), **arguments)

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


def named_experiment(name: str | None) -> Experiment:
    """Return the experiment of a file, and make it the one that Dagster's processes load."""
    path = experiment_path(name)
    experiment = load_experiment(path)
    os.environ["GSR_EXPERIMENT"] = str(path)
    return experiment
