"""Best-of-k by a reward model."""

import re
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator

from gsr_dagster.experiment.aggregations.base import Contents, Fingerprints, Work
from gsr_dagster.experiment.aggregations.best_scored import BestScored
from gsr_dagster.experiment.settings import HUB_SOURCE, Count, refuse_path
from gsr_dagster.method.candidate_pool import CandidatePool


def _reward_model_source(source: str) -> str:
    if not re.fullmatch(rf"{HUB_SOURCE}|path:.+", source):
        raise ValueError(f"{source!r} is not hf:ORG/NAME@REVISION or path:FOLDER (a GGUF file holds no reward model)")
    return refuse_path(source)


class RewardModelScores(BestScored):
    """Best-of-k by a sequence classifier, ``batch_size`` candidates scored together."""

    gpus: ClassVar[int] = 1

    kind: Literal["reward_model"]
    source: Annotated[str, AfterValidator(_reward_model_source)]
    batch_size: Count = 8

    def settings(self, fingerprints: Fingerprints) -> dict[str, Any]:
        return {"pool": fingerprints.pool, "weights": fingerprints.weights(self.source)}

    def make(self, work: Work, pool: CandidatePool) -> Contents:
        return work.reward_scores(self.source, self.batch_size)
