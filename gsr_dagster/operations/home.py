"""Where a run's things lie: the home, and the artifacts of an experiment."""

import os
from pathlib import Path

from gsr_dagster.experiment.experiment import Experiment
from resources.store.artifacts import ArtifactStore


def home() -> Path:
    """Return the folder of artifacts and of the Dagster instance: $GSR_HOME, or .gsr in the working directory."""
    return Path(os.environ.get("GSR_HOME") or ".gsr").resolve()


def artifact_store(experiment: Experiment) -> ArtifactStore:
    """Return the store of an experiment's artifacts: under $GSR_ARTIFACTS, a folder or s3://..., or home."""
    root = os.environ.get("GSR_ARTIFACTS") or str(home() / "artifacts")
    return ArtifactStore(root=f"{root.rstrip('/')}/{experiment.name}")
