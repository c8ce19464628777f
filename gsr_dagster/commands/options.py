"""What commands share: the experiment they are about, and where they print."""

import functools
import os
from collections.abc import Callable
from typing import Any

import click
from rich.console import Console

from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.experiment.loading import experiment_path, load_experiment

# What is printed may come from a model: it is no markup, and names no emoji.
console = Console(highlight=False, markup=False, emoji=False)


def with_experiment(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command its experiment as the first argument: -e names it, before or after the command."""

    @click.option("--experiment", "-e", help="A YAML file, or the name of one that is shipped. [$GSR_EXPERIMENT]")
    @click.pass_context
    @functools.wraps(command)
    def with_loaded(context: click.Context, experiment: str | None, **arguments: Any) -> Any:
        return command(named_experiment(experiment or context.find_root().params.get("experiment")), **arguments)

    return with_loaded


def named_experiment(name: str | None) -> Experiment:
    """Return the experiment of a file, and make it the one that Dagster's processes load."""
    path = experiment_path(name)
    experiment = load_experiment(path)
    os.environ["GSR_EXPERIMENT"] = str(path)
    return experiment
