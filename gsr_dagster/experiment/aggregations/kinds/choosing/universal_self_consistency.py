"""The model as a counter of agreement."""

from typing import Literal

from gsr_dagster.experiment.aggregations.base import ChoicePrompt
from gsr_dagster.experiment.aggregations.chosen import Chosen
from gsr_dagster.method.candidate_choice import consistency_messages


class UniversalSelfConsistency(Chosen):
    """The model picks the candidate that agrees most with the others (arXiv 2311.17311)."""

    kind: Literal["universal_self_consistency"]

    @property
    def write(self) -> ChoicePrompt:
        return consistency_messages
