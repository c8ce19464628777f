"""A step of the graph: what an asset's artifacts are made from, what shapes their rows, and how many are wanted.

Dagster's dependencies and the artifacts' recipes both come from here, so that what is
upstream of an asset is said once. Each stage declares its steps in its fingerprints.py.
"""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import dagster as dg

from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.experiment.keys import ArtifactKey
from resources.store.artifacts import ArtifactStore
from resources.store.manifests import Recipe


class Step(ABC):
    """How the artifacts of one asset are made, a partition each.

    The settings decide an artifact's fingerprint, and so the seed of every sample in it.
    They name what is upstream by its content and not by its data version, since a data
    version also changes with the version of a package.
    """

    # The asset's key, as in base/gap_reports.
    asset: str
    # What must be there first, though nothing of it is read into the artifact: a gate.
    gates: ClassVar[tuple[str, ...]] = ()

    def __init__(self, experiment: Experiment):
        self.experiment = experiment

    @property
    @abstractmethod
    def partitions(self) -> list[str]:
        """The asset's partition keys, one "" where it has no partitions."""

    @abstractmethod
    def upstream(self, partition: str) -> tuple[ArtifactKey, ...]:
        """Return what a partition's artifact is made from."""

    @abstractmethod
    def settings(self, store: ArtifactStore, partition: str) -> dict[str, Any]:
        """Return what shapes the rows of a partition's artifact."""

    def wanted(self, partition: str) -> dict[str, Any]:
        """Return what only says how many rows there are: it can be raised, and what is there stays."""
        return {}

    def key(self, partition: str = "") -> ArtifactKey:
        return ArtifactKey(self.asset, partition)

    def recipe(self, store: ArtifactStore, partition: str = "") -> Recipe:
        """Return the recipe of a partition's artifact, from what the store holds upstream today."""
        return Recipe(
            self.key(partition), self.settings(store, partition), self.wanted(partition), self.upstream(partition)
        )

    @property
    def dependencies(self) -> list[dg.AssetKey]:
        """The assets that Dagster materializes before this one: all that is upstream of any partition, and the gates."""
        upstream = [key.asset for partition in self.partitions for key in self.upstream(partition)]
        return [dg.AssetKey(asset.split("/")) for asset in dict.fromkeys([*upstream, *self.gates])]


class UnpartitionedStep(Step, ABC):
    """A step whose asset has one artifact."""

    @property
    def partitions(self) -> list[str]:
        return [""]
