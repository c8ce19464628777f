"""The weights of what is sampled or trained: a model's, or a student's, which may be a student of a student.

An earlier student is merged into its base (resources/models/merging.py), once, in the cache; a
later one is an adapter on that, or weights of its own.
"""

from collections.abc import Callable
from pathlib import Path

from assets.evaluation.fingerprints import checkpoint_key
from assets.refusals import refuse_broken_chain
from gsr_dagster.experiment.experiment import Experiment
from resources.engines.base import Engine
from resources.engines.loading import Engines
from resources.models import weights
from resources.store.artifacts import ArtifactStore

ADAPTER = "adapter_config.json"


def weights_of(experiment: Experiment, store: ArtifactStore, subject: str) -> Path:
    """Return a folder with all weights of a model or student. Raises ArtifactError where a checkpoint's chain is broken."""
    if subject in experiment.models:
        return weights.fetch(str(experiment.models[subject].source))
    refuse_broken_chain(store, subject)
    checkpoint = store.local_files(checkpoint_key(subject))
    if not (checkpoint / ADAPTER).exists():
        return checkpoint
    return weights.merged(weights_of(experiment, store, experiment.students[subject].base), checkpoint)


def loader_of(experiment: Experiment, store: ArtifactStore, engines: Engines, subject: str) -> Callable[[], Engine]:
    """Return what loads the engine of a model, or of a student by its checkpoint on its base."""
    model = experiment.subject_model(subject)
    if subject in experiment.models:
        return engines.loader(model)

    def load() -> Engine:
        refuse_broken_chain(store, subject)
        base = experiment.students[subject].base
        on = {} if base in experiment.models else {"source": f"path:{weights_of(experiment, store, base)}"}
        checkpoint = store.local_files(checkpoint_key(subject))
        return engines.loader(model.model_copy(update=on), lambda: checkpoint)()

    return load
