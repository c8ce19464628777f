"""`gsr prune`: what nothing in the store refers to any more."""

from collections import defaultdict

import click

from assets.checking import counted
from assets.refusals import SAMPLE_IDS
from gsr_dagster.commands.options import console, with_experiment
from gsr_dagster.commands.tables import new_table
from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.operations.home import artifact_store
from gsr_dagster.operations.lanes import lanes
from resources.store.artifacts import ArtifactStore
from resources.store.errors import ArtifactError
from resources.store.pruning import Superseded, remove, superseded


@click.command("prune")
@click.option("--remove", "removes", is_flag=True, help="Remove it; without this it is shown only.")
@click.option(
    "--days", type=click.FloatRange(min=0), default=1.0, show_default=True, help="Only what is older than that."
)
@with_experiment
def command(experiment: Experiment, removes: bool, days: float) -> None:
    """Show, or remove, stored files that no artifact refers to: what other grades, samples or reports took the place of.

    Never what a manifest names, nor samples that a run which was stopped goes on from.
    """
    store = artifact_store(experiment)
    found = superseded(store, in_use(experiment, store), days)
    if found.files:
        console.print(by_asset(found.files))
    count, megabytes = len(found.files), sum(file.size for file in found.files) / 1e6
    verb = "is" if found.recent == 1 else "are"
    later = (
        f" {found.recent:,} more {verb} younger than {days:g} day{'' if days == 1 else 's'}." if found.recent else ""
    )
    if not count:
        console.print(f"Nothing to prune in {store.root}.{later}", soft_wrap=True)
    elif removes:
        remove(store, found.files)
        console.print(f"\n{counted(count, 'file')} removed, {megabytes:,.1f} MB.{later}", soft_wrap=True)
    else:
        console.print(
            f"\n{counted(count, 'file')}, {megabytes:,.1f} MB: gsr prune --remove removes them.{later}", soft_wrap=True
        )


def in_use(experiment: Experiment, store: ArtifactStore) -> set[tuple[str, str]]:
    """Return the assets of samples with the fingerprints that the experiment has today."""
    found = set[tuple[str, str]]()
    for lane in lanes(experiment):
        for step in lane.steps:
            if step.key().name not in SAMPLE_IDS and "/aggregation/" not in step.asset:
                continue
            for partition in step.partitions:
                try:
                    found.add((step.asset, step.recipe(store, partition).fingerprint))
                except ArtifactError:  # what it is made from is not there: nothing was drawn of it
                    continue
    return found


def by_asset(files: list[Superseded]):
    """Return a table of the files of each asset."""
    sizes: dict[str, list[int]] = defaultdict(list)
    for file in files:
        sizes[file.asset].append(file.size)
    table = new_table("stored files that nothing refers to", "asset")
    for label in ("files", "MB"):
        table.add_column(label, justify="right")
    for asset, of_asset in sizes.items():
        table.add_row(asset, f"{len(of_asset):,}", f"{sum(of_asset) / 1e6:,.1f}")
    return table
