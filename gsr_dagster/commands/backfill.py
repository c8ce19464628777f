"""`gsr backfill`: a model family's partitions, launched on the Dagster page."""

from typing import get_args

import click

from gsr_dagster.commands.options import console, with_experiment
from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.experiment.keys import LaneName
from gsr_dagster.operations.backfilling import Page, evaluation_lanes, family_partitions, follow, to_launch
from gsr_dagster.operations.home import artifact_store
from gsr_dagster.operations.lanes import Lane
from resources.progress import terminal_bars


@click.command("backfill")
@click.option("--family", required=True, help="As in qwen2.5: the models qwen2.5-*.")
@click.option("--benchmark", "benchmarks", multiple=True, help="One of the experiment's, and another; all by default.")
@click.option("--lane", default="base", show_default=True, type=click.Choice(get_args(LaneName)))
@click.option("--only-missing", is_flag=True, help="Launch nothing for partitions that are current.")
@click.option("--wait", is_flag=True, help="Stay until every run has ended, and fail where one failed.")
@click.option("--page", "address", default="http://localhost:3000", show_default=True, help="The Dagster page.")
@with_experiment
def command(experiment: Experiment, family, benchmarks, lane, only_missing, wait, address) -> None:
    """Launch the evaluation of a family's models, or of its students, on the page: a run a partition."""
    page, store = Page(address.rstrip("/")), artifact_store(experiment)
    of_family = family_partitions(experiment, lane, family, benchmarks)
    for chosen in evaluation_lanes(experiment, lane):
        partitions = [partition for partition in chosen.partitions if partition in of_family]
        partitions, current = to_launch(store, chosen, partitions, only_missing)
        if partitions:
            _launch(experiment, page, chosen, family, partitions, current, wait)
        elif current:
            console.print(f"Nothing to do: {current} partitions of {family} are current.")


def _launch(
    experiment: Experiment, page: Page, lane: Lane, family: str, partitions: list[str], current: int, wait: bool
) -> None:
    """Launch a lane's partitions on the page, and follow them where that is wanted."""
    backfill_id = page.launch(experiment, lane, family, partitions)
    skipped = f", {current} are current" if current else ""
    console.print(f"Backfill {backfill_id}: {len(partitions)} partitions of {family}{skipped}.")
    console.print(page.link(backfill_id), soft_wrap=True)
    if wait:
        with terminal_bars() as bars:
            ended = []
            for partition, status in follow(page, backfill_id, family, partitions):
                ended.append(status)
                bars.console.print(f"{partition:<50} {status.lower()}", markup=False, highlight=False)
        if failed := sum(status != "SUCCESS" for status in ended):
            raise click.ClickException(f"{failed} of {len(partitions)} partitions failed: the page says why")
