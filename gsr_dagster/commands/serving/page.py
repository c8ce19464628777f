"""`gsr page`: the Dagster page."""

import os

import click
import dagster as dg

from gsr_dagster.commands.options import Named, console, with_experiments
from gsr_dagster.operations.concurrency import limit_pool
from gsr_dagster.operations.home import artifact_store
from gsr_dagster.operations.instance.preparing import dagster_home, prepare_instance
from gsr_dagster.operations.locations.earlier import tell_of_earlier
from gsr_dagster.operations.locations.workspace import write_workspace
from gsr_dagster.operations.serving import heed_signals, only_page, refuse_used_port, serve
from gsr_dagster.viewing.server import viewer_beside


@click.command("page")
@click.option("--port", default=3000, show_default=True, type=click.IntRange(1, 65534))
@with_experiments
def command(experiments: list[Named], port: int) -> None:
    """Serve the Dagster page with everything that was materialized, of one experiment or of several."""
    heed_signals()
    address = f"http://localhost:{port}"
    try:
        prepare_instance()
        with only_page(dagster_home(), address):
            refuse_used_port(port)
            with dg.DagsterInstance.get() as instance:
                for _, experiment in experiments:
                    tell_of_earlier(experiment, instance, artifact_store(experiment))
            limit_pool()
            os.environ.setdefault("GSR_PAGE_URL", address)  # where an alert's link leads
            with viewer_beside([experiment for _, experiment in experiments], port + 1) as viewer:
                console.print(f"What the models wrote, and the reports: {viewer}")
                serve(["-w", str(write_workspace(experiments)), "-p", str(port)])
    except KeyboardInterrupt:
        pass
    console.print("The page is stopped.")
