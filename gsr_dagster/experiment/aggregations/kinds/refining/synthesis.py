"""Another model as the refiner."""

from typing import Any, Literal

from gsr_dagster.experiment.aggregations.base import Fingerprints
from gsr_dagster.experiment.aggregations.refined import Refined


class Synthesis(Refined):
    """Another model of the file refines the groups."""

    kind: Literal["synthesis"]
    model: str

    @property
    def refiner(self) -> str:
        return self.model

    def settings(self, fingerprints: Fingerprints) -> dict[str, Any]:
        return {**fingerprints.self_refinement(), **fingerprints.refiner(self.model)}
