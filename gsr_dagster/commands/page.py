"""`gsr page`: the Dagster page."""

import os
import sys
from pathlib import Path

import click

from gsr_dagster.commands.options import with_experiment
from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.operations.concurrency import limit_pool
from gsr_dagster.operations.instance import prepare_instance, write_workspace


@click.command("page")
@click.option("--port", default=3000, show_default=True)
@with_experiment
def command(experiment: Experiment, port: int) -> None:
    """Serve the Dagster page with everything that was materialized."""
    prepare_instance()
    limit_pool()
    os.environ.setdefault("GSR_PAGE_URL", f"http://localhost:{port}")  # where an alert's link leads
    dagster = Path(sys.executable).with_name("dagster")
    os.execv(dagster, ["dagster", "dev", "-w", str(write_workspace()), "-p", str(port)])
