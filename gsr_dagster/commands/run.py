"""`gsr run`: materialize an experiment in this process."""

import functools
import subprocess
import sys
import time
from types import SimpleNamespace

import click
import dagster as dg
from dagster._core.execution import compute_logs

from gsr_dagster.commands.options import console, of_defaults, with_experiment_and_inputs
from gsr_dagster.commands.report import print_report
from gsr_dagster.definitions import build_definitions
from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.operations.failed_checks import CheckResult, last_checks
from gsr_dagster.operations.home import artifact_store, tracker_of
from gsr_dagster.operations.instance.preparing import prepare_instance
from gsr_dagster.operations.lanes import lanes
from gsr_dagster.operations.locations.earlier import tell_of_earlier
from gsr_dagster.operations.running.one_by_one import Run
from gsr_dagster.operations.running.side_by_side import RunSideBySide
from gsr_dagster.operations.tracked_runs import Told, told_since
from resources.progress import terminal_bars
from resources.texts import printable

# What shells expect of a command that SIGINT ended.
STOPPED_BY_CTRL_C = 130


@click.command("run")
@click.option(
    "--jobs", default=1, show_default=True, type=click.IntRange(1), help="Partitions of a lane at once, in processes."
)
@with_experiment_and_inputs
def command(experiment: Experiment, jobs: int) -> None:
    """Materialize what is not current, and print the table and the checks that fail."""
    spare_dagsters_helpers()
    try:
        run_and_report(experiment, jobs)
    except KeyboardInterrupt:
        click.echo("Stopped. What was finished or drawn stays: gsr run goes on from there.", err=True)
        sys.exit(STOPPED_BY_CTRL_C)


def spare_dagsters_helpers() -> None:
    """Start Dagster's helpers that mirror a step's log apart from the terminal.

    Ctrl-C there reaches every process of it, and these would print their tracebacks. They end with their step.
    """
    apart = SimpleNamespace(Popen=functools.partial(subprocess.Popen, start_new_session=True))
    setattr(compute_logs, "subprocess", apart)  # noqa: B010


def run_and_report(experiment: Experiment, jobs: int = 1) -> None:
    """Materialize what is not current, and print the table and the checks that fail.

    Raises NotTrackedError where the file names a tracking server and its client is not installed.
    """
    tracker_of(experiment).refuse_without_client()
    started, since = time.monotonic(), time.time()
    for line in of_defaults(experiment):
        console.print(line, soft_wrap=True)
    prepare_instance()
    definitions = build_definitions(experiment)
    with dg.DagsterInstance.get() as instance:
        tell_of_earlier(experiment, instance, artifact_store(experiment))
        with terminal_bars() as bars:
            run = Run(experiment, definitions, instance, lanes(experiment), artifact_store(experiment), bars.console)
            if jobs > 1:
                run = RunSideBySide(**vars(run), jobs=jobs, bars=bars, build=build_definitions)
            materialized = run.materialize_all()
        print_report(experiment)
        print_failed(list(last_checks(definitions, instance, run.lanes)))
        if experiment.tracking:
            print_told(experiment.tracking.kind, told_since(instance, run.lanes, since))
    seconds = time.monotonic() - started
    if materialized:
        console.print(f"{materialized} assets materialized in {seconds:.0f} s.")
    else:
        console.print(f"Nothing to do: every asset of {experiment.name} is current ({seconds:.1f} s).")


def print_failed(results: list[CheckResult]) -> None:
    """Print the checks that fail, errors first, each with what was measured."""
    failed = [result for result in results if result.passed is False]
    unknown = sum(result.passed is None for result in results)
    if failed:
        console.print(
            f"\n{len(failed)} of {len(results)} checks fail (an error is a wrong result, a warning a poor one):"
        )
    else:
        console.print(f"\nNone of {len(results)} checks fails.")
    for result in sorted(failed, key=lambda result: not result.is_error):
        severity = "error  " if result.is_error else "warning"
        text = f": {result.description}" if result.description else ""
        console.print(printable(f"{severity} {result.check} of {result.artifact}{text}"), soft_wrap=True)
    if unknown:
        console.print(f"{unknown} checks have no result: they were added later, or their run ended before them.")


def print_told(kind: str, told: Told) -> None:
    """Print how many of the new trainings and gap reports the tracking server shows, and why it does not show the others."""
    missing = told.not_tracked.total()
    if made := told.tracked + missing:
        console.print(
            f"{told.tracked} of {made} new trainings and gap reports are tracked with {kind}.", soft_wrap=True
        )
    if missing:
        reasons = "; ".join(f"{reason} ({count})" for reason, count in told.not_tracked.most_common())
        console.print(printable(f"Not tracked: {reasons}"), soft_wrap=True)
