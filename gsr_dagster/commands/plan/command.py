"""What a run of an experiment costs before it starts: `gsr plan`. steps.py counts it."""

from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from itertools import chain
from pathlib import Path

import click
from rich.table import Table

from gsr_dagster.commands.options import console, of_defaults, with_experiment_and_inputs
from gsr_dagster.commands.plan.steps import Step, plan
from gsr_dagster.commands.tables import new_table
from gsr_dagster.experiment.engines import OpenAI, RecordedSamples
from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.experiment.faults.generated import GENERATED
from gsr_dagster.experiment.faults.inputs import problem_sets
from gsr_dagster.experiment.faults.reasoning_gym_tasks import tasks
from gsr_dagster.operations.home import tracker_of
from resources.reporting.numbers import NOTHING
from resources.tracking.tracker import NotTrackedError

# Stored text compresses to about this many bytes a token.
BYTES_A_TOKEN = 2.0
BYTES_A_WEIGHT = 2
# What sampling and training get of a CPU's multiplications: roughly, of small models.
USED = 0.3
MOST_MINUTES = 14 * 24 * 60
# Operations a second that no CPU has.
OUT_OF_REACH = 1e14


@click.command("plan")
@click.option(
    "--rate", default=5000, type=click.IntRange(1), show_default=True, help="Tokens/s a GPU samples with a 7B model."
)
@click.option(
    "--training-rate",
    default=10_000,
    type=click.IntRange(1),
    show_default=True,
    help="Tokens/s a GPU trains a 7B model with.",
)
@click.option(
    "--share",
    default=0.4,
    type=click.FloatRange(0, 1),
    show_default=True,
    help="Of the token limits, what is really written.",
)
@with_experiment_and_inputs
def command(experiment: Experiment, rate: float, training_rate: float, share: float) -> None:
    """Print what a run would cost before it starts; nothing is loaded or sampled.

    Of models with a price that is money, in the currency of the price. What a
    provider takes off, as for mode: batch, is not known here: write the price that it asks.
    """
    steps = plan(experiment)
    console.print(plan_table(steps, rate, training_rate, share))
    hours = sum(step.hours(training_rate if step.trains else rate, share) or 0.0 for step in steps)
    disk = disk_bytes(experiment, steps, share)
    samples = sum(step.samples for step in steps if not step.trains)
    console.print(
        f"\n{samples:,} samples; {hours:,.0f} GPU hours where {share:.0%} of the tokens are written, at {rate:,} tokens/s "
        f"of sampling and {training_rate:,} of training with a 7B model, others in proportion to their parameters; "
        f"{disk['weights'] / 1e9:,.1f} GB of weights, {disk['samples'] / 1e9:,.2f} GB of samples.",
        soft_wrap=True,
    )
    said = (
        of_this_machine(steps, share),
        of_defaults(experiment),
        of_missing_weights(experiment),
        of_unknown_sizes(experiment),
        of_money(experiment, steps, share),
        of_tasks(experiment),
        of_tracking(experiment),
    )
    for line in chain.from_iterable(said):
        console.print(line, soft_wrap=True)


def plan_table(steps: Sequence[Step], rate: float, training_rate: float, share: float) -> Table:
    """Return what a run would cost: samples, tokens at most, hours of one GPU at the stated rates, and money."""
    table = new_table("a run from nothing", "step", "model")
    priced = any(step.money() is not None for step in steps)
    for label in ("prompts", "samples", "tokens at most", "GPU hours", *(["cost", "cost at most"] if priced else [])):
        table.add_column(label, justify="right", no_wrap=True)
    for step in steps:
        hours = step.hours(training_rate if step.trains else rate, share)
        money = (step.money(share), step.money()) if priced else ()
        table.add_row(
            step.what,
            step.model,
            *(f"{n:,}" for n in (step.prompts, step.samples, step.tokens)),
            NOTHING if hours is None else f"{hours:,.1f}",
            *(NOTHING if amount is None else f"{amount:,.2f}" for amount in money),
        )
    return table


def of_this_machine(steps: Sequence[Step], share: float) -> Iterator[str]:
    """Yield how long this machine takes where it has no GPU, by a second's measurement.

    Nothing where torch is missing, or where it would take longer than anyone waits for.
    """
    operations = sum(step.operations(share) for step in steps)
    if not operations or operations > MOST_MINUTES * 60 * USED * OUT_OF_REACH or find_spec("torch") is None:
        return
    from resources.engines.cpu import multiplications_a_second

    rate = multiplications_a_second()
    if rate is not None and (minutes := operations / rate / USED / 60) <= MOST_MINUTES:
        yield (
            f"On this machine, which has no GPU, some {max(minutes, 1):,.0f} minutes: it was measured at "
            f"{rate / 1e9:,.0f} billion operations/s, of which {USED:.0%} are usual, at 2 a parameter and token that is read "
            "or written and 6 in training."
        )


def of_unknown_sizes(experiment: Experiment) -> Iterator[str]:
    """Yield which models are missing in hours and weights, since nobody knows their size."""
    loaded = {n: m for n, m in experiment.models.items() if not isinstance(m.engine, OpenAI | RecordedSamples)}
    if unknown := [name for name, model in loaded.items() if model.parameters is None]:
        yield f"Neither hours nor weights count {', '.join(unknown)}: the file does not say the parameters."


def of_missing_weights(experiment: Experiment) -> Iterator[str]:
    """Yield which models have no weights here. A plan needs none: the run may be on another machine."""
    for name, model in experiment.models.items():
        kind, _, place = (model.source or "").partition(":")
        if (kind == "path" or place.endswith(".gguf")) and not Path(place).expanduser().exists():
            yield f"{name}: {place} is not on this machine, and a run needs it: write the path where its weights are."


def of_tasks(experiment: Experiment) -> Iterator[str]:
    """Yield which tasks nobody could look up, since reasoning-gym is not installed here."""
    sources = dict.fromkeys(problem_set.source for _, problem_set in problem_sets(experiment))
    generated = [source.removeprefix(GENERATED) for source in sources if source.startswith(GENERATED)]
    if generated and not tasks():
        yield (
            f"reasoning-gym is not installed here, and a run needs it: whether it has {', '.join(generated)} was not looked "
            "up. pip install reasoning-gym brings it."
        )


def of_tracking(experiment: Experiment) -> Iterator[str]:
    """Yield what a run lacks here for its tracking server."""
    try:
        tracker_of(experiment).refuse_without_client()
    except NotTrackedError as error:
        yield f"{error}."


def of_money(experiment: Experiment, steps: Sequence[Step], share: float) -> Iterator[str]:
    """Yield what models with a price cost, and whether that is above what the file allows for each served one."""
    served = {name: model.engine for name, model in experiment.models.items() if isinstance(model.engine, OpenAI)}
    least, most = (sum(step.money(part) or 0.0 for step in steps) for part in (share, 1))
    if any(step.price for step in steps):
        yield (
            f"Models with a price cost {least:,.2f} where {share:.0%} of the tokens are written, and {most:,.2f} at most, by the "
            "prices of the file. Of a prompt 4 characters are a token, and candidates have their whole budget; up to n "
            "samples pay it once."
        )
        if unpriced := [name for name, engine in served.items() if engine.price is None]:
            yield f"Without a price in the file, and not in it: {', '.join(unpriced)}."
    for name, engine in served.items():
        own = [step for step in steps if step.sampler == name and step.server]
        if engine.most_cost is not None:
            low, high = (sum(step.money(part) or 0.0 for step in own) for part in (share, 1))
            yield f"{name}: most_cost is {engine.most_cost:,.2f}, {_held(low, high, engine.most_cost, share)}."
        if engine.most_tokens is not None:
            low, high = (sum(step.prompt_tokens + step.tokens * part for step in own) for part in (share, 1))
            yield f"{name}: most_tokens are {engine.most_tokens:,}, {_held(low, high, engine.most_tokens, share)}."


def _held(least: float, most: float, limit: float, share: float) -> str:
    """Return whether a plan is above a limit."""
    if least > limit:
        return f"and the plan is above it: {least:,.2f} where {share:.0%} of the tokens are written"
    return f"and the plan is above it only at most: {most:,.2f}" if most > limit else "and the plan is not above it"


def disk_bytes(experiment: Experiment, steps: Sequence[Step], share: float) -> dict[str, float]:
    """Return what is downloaded as weights, and what is stored as samples, in bytes. A server has its own weights."""
    loaded = [m for m in experiment.models.values() if not isinstance(m.engine, OpenAI | RecordedSamples)]
    return {
        "weights": sum(model.parameters or 0.0 for model in loaded) * BYTES_A_WEIGHT,
        "samples": sum(step.tokens for step in steps if not step.trains) * share * BYTES_A_TOKEN,
    }
