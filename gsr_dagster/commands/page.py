"""`gsr page`: the Dagster page."""

import os

import click

from gsr_dagster.commands.options import console, with_experiment
from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.operations.concurrency import limit_pool
from gsr_dagster.operations.instance import dagster_home, prepare_instance, write_workspace
from gsr_dagster.operations.serving import heed_signals, only_page, refuse_used_port, serve


@click.command("page")
@click.option("--port", default=3000, show_default=True, type=click.IntRange(1, 65535))
@with_experiment
def command(experiment: Experiment, port: int) -> None:
    """Serve the Dagster page with everything that was materialized."""
    heed_signals()
    address = f"http://localhost:{port}"
    try:
        prepare_instance()
        with only_page(dagster_home(), address):
            refuse_used_port(port)
            limit_pool()
            os.environ.setdefault("GSR_PAGE_URL", address)  # where an alert's link leads
            serve(["-w", str(write_workspace()), "-p", str(port)])
    except KeyboardInterrupt:
        pass
    console.print("The page is stopped.")
