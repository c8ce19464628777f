"""A step of the graph: what an asset's artifacts are made from, what shapes their rows, and how many are wanted.

Dagster's dependencies and the artifacts' recipes both come from here, so that what is
upstream of an asset is said once. Each stage declares its steps in its fingerprints.py.
"""

import copy
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, ClassVar, Self

import dagster as dg

from gsr_dagster.experiment.engines import OpenAI
from gsr_dagster.experiment.experiment import Experiment, Model
from gsr_dagster.experiment.keys import TEACHING, ArtifactKey, page_key, subject_of
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

    # The round whose students the partitions are, None where they are all, or no students.
    round: int | None = None

    def __init__(self, experiment: Experiment):
        self.experiment = experiment

    def of_round(self, round_number: int | None) -> Self:
        """Return the step of the students of one round, or of all."""
        step = copy.copy(self)
        step.round = round_number
        return step

    def of_this_round(self, students: Iterable[str]) -> list[str]:
        return [name for name in students if self.round in (None, self.experiment.round(name))]

    @property
    @abstractmethod
    def partitions(self) -> list[str]:
        """The asset's partition keys, one "" where it has no partitions."""

    @abstractmethod
    def upstream(self, partition: str) -> tuple[ArtifactKey, ...]:
        """Return what a partition's artifact is made from."""

    def awaited(self, partition: str) -> tuple[ArtifactKey, ...]:
        """Return what must be there before a partition's artifact is made."""
        return self.upstream(partition)

    @abstractmethod
    def settings(self, store: ArtifactStore, partition: str) -> dict[str, Any]:
        """Return what shapes the rows of a partition's artifact."""

    def wanted(self, partition: str) -> dict[str, Any]:
        """Return what only says how many rows there are: it can be raised, and what is there stays."""
        return {}

    def sampled(self, partition: str) -> str | None:
        """Return the model of the file that a partition's artifact samples, None where it samples none."""
        return None

    def gpus(self, partition: str) -> int:
        """Return how many GPUs of this machine a partition's work asks for at once, where there are any."""
        model = self.sampled(partition)
        return 0 if model is None else self.experiment.subject_model(model).engine.gpus

    def key(self, partition: str = "") -> ArtifactKey:
        return ArtifactKey(self.asset, partition)

    def recipe(self, store: ArtifactStore, partition: str = "") -> Recipe:
        """Return the recipe of a partition's artifact, from what the store holds upstream today."""
        recipe = Recipe(
            self.key(partition), self.settings(store, partition), self.wanted(partition), self.upstream(partition)
        )
        model = self.sampled(partition)
        context = None if model is None else _context_to_ask_in(self.experiment.subject_model(model), store, recipe)
        return recipe if context is None else replace(recipe, wanted={**recipe.wanted, "context": context})

    @property
    def page_key(self) -> dg.AssetKey:
        """The asset's key in Dagster."""
        return page_key(self.experiment.name, self.asset, self.round or 1)

    @property
    def dependencies(self) -> list[dg.AssetDep]:
        """What Dagster materializes before this one: all that is upstream of any partition, and the gates.

        A partition waits for whole assets, with two exceptions. Of the students of an earlier round, and of the
        evaluations of the students' bases, it waits only for the partitions that it is made from.
        """
        found: dict[dg.AssetKey, dg.PartitionMapping | None] = {}
        waiting: dict[dg.AssetKey, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
        for partition in self.partitions:
            for key in self.awaited(partition):
                asset = self.experiment.page_key(key)
                found.setdefault(asset)
                earlier = self.round and key.asset in TEACHING and self.experiment.round(key.partition) < self.round
                of_base = self.key(partition).lane and key.lane and key.partition != partition
                if earlier:
                    waiting[asset][key.partition].add(partition)
                    found[asset] = dg.StaticPartitionMapping(waiting[asset])
                elif of_base:
                    waiting[asset][subject_of(key.partition)].add(subject_of(partition))
                    found[asset] = _of_bases("model" if key.lane == "base" else "student", waiting[asset])
        gates = {page_key(self.experiment.name, gate): None for gate in self.gates}
        return [dg.AssetDep(key, partition_mapping=mapping) for key, mapping in {**found, **gates}.items()]


def _of_bases(dimension: str, students: Mapping[str, set[str]]) -> dg.PartitionMapping:
    """Return what the evaluations of students wait for: those of their bases, whose dimension is given, on the same benchmark."""
    of_student = dg.StaticPartitionMapping({base: set(of) for base, of in students.items()})
    same = dg.DimensionPartitionMapping("benchmark", dg.IdentityPartitionMapping())
    return dg.MultiPartitionMapping({"benchmark": same, dimension: dg.DimensionPartitionMapping("student", of_student)})


def _context_to_ask_in(model: Model, store: ArtifactStore, recipe: Recipe) -> int | None:
    """Return the experiment file's context if some samples did not fit into another one: they are asked for again.

    Otherwise the context that the manifest names stays, None where it names none.
    """
    engine = model.engine
    context = engine.context if isinstance(engine, OpenAI) else getattr(engine, "max_model_len", None)
    manifest = store.manifest(recipe.key) if context else None
    if manifest is None or manifest.fingerprint != recipe.fingerprint:
        return None
    if manifest.summary.get("unasked") and context != manifest.summary.get("context"):
        return context
    return manifest.wanted.get("context")


class UnpartitionedStep(Step, ABC):
    """A step whose asset has one artifact."""

    @property
    def partitions(self) -> list[str]:
        return [""]
