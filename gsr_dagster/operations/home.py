"""Where a run's things lie: the home, and the artifacts of an experiment."""

import os
from pathlib import Path

from gsr_dagster.experiment.errors import UserError
from gsr_dagster.experiment.experiment import Experiment
from resources.store.artifacts import ArtifactStore
from resources.store.roots import artifact_root, local_path
from resources.tracking.tracker import Tracker


def home() -> Path:
    """Return the folder of artifacts and of the Dagster instance: $GSR_HOME, or .gsr in the working directory."""
    return local_path(os.environ.get("GSR_HOME") or ".gsr").resolve()


def artifact_store(experiment: Experiment) -> ArtifactStore:
    """Return the store of an experiment's artifacts."""
    return ArtifactStore(root=f"{artifacts()}/{experiment.name}")


def tracker_of(experiment: Experiment) -> Tracker:
    """Return what tells an experiment's tracking server of what was made. W&B writes offline into a folder of the home."""
    return Tracker(experiment.name, experiment.tracking, home())


def artifacts() -> str:
    """Return where artifacts lie: $GSR_ARTIFACTS, a folder or an address in a bucket, or else a folder of the home.

    Raises UserError where the variable names neither.
    """
    named = os.environ.get("GSR_ARTIFACTS", "").strip()
    try:
        return artifact_root(named).rstrip("/") if named else str(home() / "artifacts")
    except UserError as error:
        raise UserError(f"GSR_ARTIFACTS: {error}") from None
