"""Aggregations of all candidates of a problem by how sure the model was of their tokens."""

from abc import ABC
from typing import Any, ClassVar

from gsr_dagster.experiment.aggregations.base import Aggregation, Fingerprints, whole_problems
from gsr_dagster.experiment.settings import Count
from gsr_dagster.method.candidate_pool import CandidatePool, ShownGroup
from gsr_dagster.method.policies.confidence import CONFIDENCE_VERSION


class OfConfidence(Aggregation, ABC):
    """All candidates of a problem, whose direct samples were drawn with ``logprobs``. ``window`` is in tokens."""

    draws: ClassVar[bool] = False
    of_logprobs: ClassVar[bool] = True

    window: Count = 2048

    def settings(self, fingerprints: Fingerprints) -> dict[str, Any]:
        return {"pool": fingerprints.pool, "window": self.window, "confidence": CONFIDENCE_VERSION}

    def groups(self, pool: CandidatePool) -> list[ShownGroup]:
        return whole_problems(pool)
