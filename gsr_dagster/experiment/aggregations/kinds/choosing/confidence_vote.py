"""A vote in which candidates count by how sure the model was of their tokens."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Annotated, Any, Literal

from pydantic import Field

from gsr_dagster.experiment.aggregations.base import (
    OWN_VOTE,
    Contents,
    Fingerprints,
    Work,
    group_row,
    right_class,
    voted_row,
)
from gsr_dagster.experiment.aggregations.confident import OfConfidence
from gsr_dagster.method.candidate_pool import CandidatePool
from gsr_dagster.method.policies.confidence import MEASURES, Measure, surest, weighted_vote
from gsr_dagster.method.rows import Row
from gsr_dagster.method.scoring.aggregation_summary import cost_point

# The shares that the authors keep, and all.
KEPT = (1.0, 0.9, 0.1)


class ConfidenceVote(OfConfidence):
    """The vote of the surest candidates of a problem, weighed by their confidence (DeepConf, arXiv 2508.15260).

    ``measure``: the confidence of all tokens (``mean``), of the last window (``tail``), of the tenth of
    windows with the lowest (``bottom``) or of the lowest one. ``keep`` is the share of candidates that
    vote, ``window`` is in tokens. It is held against the plain vote of all candidates; the other
    measures and shares stand beside it.
    """

    kind: Literal["confidence_vote"]
    measure: Measure = "tail"
    keep: Annotated[float, Field(gt=0, le=1)] = 0.9

    @property
    def points(self) -> list[tuple[Measure, float]]:
        """The measures and shares of its curve, its own among them."""
        return [*product(MEASURES, sorted({*KEPT, self.keep}, reverse=True))]

    def settings(self, fingerprints: Fingerprints) -> dict[str, Any]:
        return {**super().settings(fingerprints), "measure": self.measure, "keep": self.keep}

    def make(self, work: Work, pool: CandidatePool) -> Contents:
        traces = work.confidences(self.window)
        return work.computed(
            [
                {"candidate_id": name, **{measure: getattr(trace, measure) for measure in MEASURES}}
                for name, trace in traces.items()
            ]
        )

    def rows(self, name: str, pool: CandidatePool, made: Sequence[Row], thinking_end: str | None) -> Iterator[Row]:
        """Yield a row for each measure and share, its own under NAME, the others under NAME/MEASURE/SHARE; and the vote."""
        by_candidate = {row["candidate_id"]: row for row in made}
        for group, members in self.groups(pool):
            yield voted_row(name + OWN_VOTE, group, members)
            classes, correct = [row["answer_class"] for row in members], right_class(members)
            for measure, keep in self.points:
                weights = [by_candidate[row["candidate_id"]][measure] for row in members]
                vote = weighted_vote(surest(classes, weights, keep), weights, correct)
                row = group_row(self._label(name, measure, keep), group, members, correct=vote)
                yield {**row, "samples": len(members)}

    def figures(self, name: str, rows: Mapping[str, Sequence[Row]], k: int, seed: int) -> dict[str, Any]:
        """Return ``points``: score, samples and tokens by measure and share kept."""
        if not rows.get(name):
            return {}
        return {
            "points": [
                cost_point(f"{measure} {keep:.0%}", rows[self._label(name, measure, keep)], seed)
                for measure, keep in self.points
            ]
        }

    def _label(self, name: str, measure: Measure, keep: float) -> str:
        return name if (measure, keep) == (self.measure, self.keep) else f"{name}/{measure}/{keep:g}"
