"""The model as a judge of the candidates."""

from typing import Literal

from gsr_dagster.experiment.aggregations.base import ChoicePrompt
from gsr_dagster.experiment.aggregations.chosen import Chosen
from gsr_dagster.method.candidate_choice import selection_messages


class GenerativeSelection(Chosen):
    """The model judges the candidates and picks one, as GenSelect does."""

    kind: Literal["generative_selection"]

    @property
    def write(self) -> ChoicePrompt:
        return selection_messages
