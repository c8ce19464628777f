"""`gsr page`: the Dagster page."""

import os
import sys
from pathlib import Path

import click
import dagster as dg

from gsr_dagster.commands.options import Named, with_experiments
from gsr_dagster.operations.concurrency import limit_pool
from gsr_dagster.operations.home import artifact_store
from gsr_dagster.operations.instance import prepare_instance
from gsr_dagster.operations.locations.earlier import tell_of_earlier
from gsr_dagster.operations.locations.workspace import write_workspace


@click.command("page")
@click.option("--port", default=3000, show_default=True)
@with_experiments
def command(experiments: list[Named], port: int) -> None:
    """Serve the Dagster page with everything that was materialized, of one experiment or of several."""
    prepare_instance()
    with dg.DagsterInstance.get() as instance:
        for _, experiment in experiments:
            tell_of_earlier(experiment, instance, artifact_store(experiment))
    limit_pool()
    os.environ.setdefault("GSR_PAGE_URL", f"http://localhost:{port}")  # where an alert's link leads
    dagster = Path(sys.executable).with_name("dagster")
    os.execv(dagster, ["dagster", "dev", "-w", str(write_workspace(experiments)), "-p", str(port)])
