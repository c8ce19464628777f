"""Best-of-k by scores that someone recorded."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ValidationInfo

from gsr_dagster.experiment.aggregations.base import Contents, Fingerprints, Work
from gsr_dagster.experiment.aggregations.best_scored import BestScored
from gsr_dagster.experiment.settings import from_folder
from gsr_dagster.method.candidate_pool import CandidatePool


def _scores_file(path: Path, info: ValidationInfo) -> Path:
    if path.suffix not in (".jsonl", ".parquet"):
        raise ValueError(f"{path} is not a .jsonl or .parquet file")
    return from_folder(path, info)


class RecordedScores(BestScored):
    """Best-of-k by scores someone recorded: ``candidate_id`` and ``score`` in a JSONL or Parquet file."""

    kind: Literal["recorded_scores"]
    path: Annotated[Path, AfterValidator(_scores_file)]

    def settings(self, fingerprints: Fingerprints) -> dict[str, Any]:
        return {"pool": fingerprints.pool, "scores": fingerprints.file(self.path)}

    def make(self, work: Work, pool: CandidatePool) -> Contents:
        return work.recorded_scores(self.path)
