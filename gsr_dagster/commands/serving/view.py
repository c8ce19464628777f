"""`gsr view`: what the models wrote, and the reports, for a browser."""

import click

from gsr_dagster.commands.options import Named, console, with_experiments
from gsr_dagster.operations.serving import heed_signals, listening_on
from gsr_dagster.viewing.server import serve_viewer


@click.command("view")
@click.option("--port", default=3001, show_default=True, type=click.IntRange(1, 65535))
@with_experiments
def command(experiments: list[Named], port: int) -> None:
    """Serve what the models of an experiment wrote, group by group, and report.html, without the Dagster page."""
    heed_signals()
    listening = listening_on(port)
    console.print(f"What the models wrote, and the reports: http://localhost:{port} (Ctrl-C ends it)")
    serve_viewer([experiment for _, experiment in experiments], listening)
    console.print("The viewer is stopped.")
