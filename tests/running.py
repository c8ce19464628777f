"""What `gsr run` does, as a function, the recipe of one artifact, and the Dagster instance of a folder."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import dagster as dg
from rich.console import Console

from gsr_dagster.definitions import build_definitions
from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.experiment.keys import ArtifactKey
from gsr_dagster.operations.lanes import all_steps, lanes
from gsr_dagster.operations.running.one_by_one import Run
from resources.store.artifacts import ArtifactStore
from resources.store.manifests import Recipe


def run_experiment(experiment: Experiment, store: ArtifactStore, console: Console) -> int:
    """Materialize what is not current, and return how many artifacts were."""
    with dg.DagsterInstance.get() as instance:
        return Run(
            experiment, build_definitions(experiment), instance, lanes(experiment), store, console
        ).materialize_all()


def recipe_of(experiment: Experiment, store: ArtifactStore, key: ArtifactKey) -> Recipe:
    """Return what an artifact would be made from today."""
    return all_steps(experiment)[key.asset].recipe(store, key.partition)


@contextmanager
def instance_in(folder: Path | str) -> Iterator[dg.DagsterInstance]:
    """Open the instance of a folder as Dagster's own commands do: the environment names it."""
    with patch.dict(os.environ, DAGSTER_HOME=str(folder)), dg.DagsterInstance.get() as instance:
        yield instance
