"""What commands share: the experiment they are about, and where they print."""

import functools
import os
from collections.abc import Callable, Iterator
from typing import Any

import click
from rich.console import Console

from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.experiment.loading import experiment_path, load_experiment
from gsr_dagster.experiment.settings import RolloutSettings

# What is printed may come from a model: it is no markup, and names no emoji.
console = Console(highlight=False, markup=False, emoji=False)


def with_experiment(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command its experiment as the first argument: -e names it, before or after the command."""
    return _with_loaded(command, with_inputs=False)


def with_experiment_and_inputs(command: Callable[..., Any]) -> Callable[..., Any]:
    """As ``with_experiment``, of an experiment whose files of problems and samples are there."""
    return _with_loaded(command, with_inputs=True)


def _with_loaded(command: Callable[..., Any], with_inputs: bool) -> Callable[..., Any]:
    @click.option("--experiment", "-e", help="A YAML file, or the name of one that is shipped. [$GSR_EXPERIMENT]")
    @click.pass_context
    @functools.wraps(command)
    def with_loaded(context: click.Context, experiment: str | None, **arguments: Any) -> Any:
        name = experiment or context.find_root().params.get("experiment")
        return command(named_experiment(name, with_inputs), **arguments)

    return with_loaded


def named_experiment(name: str | None, with_inputs: bool = False) -> Experiment:
    """Return the experiment of a file, and make it the one that Dagster's processes load."""
    path = experiment_path(name)
    experiment = load_experiment(path, with_inputs)
    os.environ["GSR_EXPERIMENT"] = str(path)
    return experiment


def of_defaults(experiment: Experiment) -> Iterator[str]:
    """Yield what of the evaluation the file leaves out, and what it is then."""
    evaluation = experiment.evaluation
    said = []
    for name in ("direct", "refinement"):
        settings: RolloutSettings = getattr(evaluation, name)
        left_out = [key for key in ("temperature", "max_new_tokens") if key not in settings.model_fields_set]
        said += [f"{name}: {key} {getattr(settings, key)}" for key in left_out]
    if "candidate_tokens" not in evaluation.model_fields_set:
        said.append(f"candidate_tokens {evaluation.candidate_tokens}")
    if said:
        yield f"The file does not say these of the evaluation, so that they are the defaults: {', '.join(said)}."
