"""`gsr verify`: every stored file against its hash."""

import click

from gsr_dagster.commands.options import console, with_experiment
from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.operations.home import artifact_store


@click.command("verify")
@click.option("--drop", is_flag=True, help="Remove what is damaged: gsr run makes it again.")
@with_experiment
def command(experiment: Experiment, drop: bool) -> None:
    """Hold every stored file against its hash, and name those that are damaged or missing."""
    store = artifact_store(experiment)
    stored = len(store.verified.names())
    if not stored:
        raise click.ClickException(
            f"{store.root} is empty: nothing of {experiment.name} is stored there, so nothing was checked. "
            "gsr run makes it; GSR_ARTIFACTS and GSR_HOME say where it lies"
        )
    faults = 0
    for name, fault in store.verified.damage():
        faults += 1
        console.print(fault, style="bold red", markup=False, soft_wrap=True)
        if drop:
            store.objects.remove(name)
    if not faults:
        said = f"Every stored file of {experiment.name} is what its hash says: {stored} in {store.root}."
        console.print(said, soft_wrap=True)
    elif drop:
        console.print(f"{faults} dropped: gsr run makes again what is missing.")
    else:
        raise click.ClickException(f"{faults} damaged or missing: gsr verify --drop, then gsr run, makes them again")
