"""Checks of what the named aggregations asked a model for."""

import dagster as dg

from assets.checking import asset_checks
from assets.sample_checks import HOW_DRAWN
from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.experiment.keys import LaneName
from gsr_dagster.experiment.partitions import Partitions


def aggregation_checks(experiment: Experiment, lane: LaneName, round_number: int = 1) -> list[dg.AssetChecksDefinition]:
    """Return the checks of a lane's aggregations that sample a model. Scores are no samples, and have none."""
    partitions = Partitions.of(experiment, round_number).lane(lane)
    return [
        asset_checks(experiment, partitions, f"{lane}/aggregation/{name}", HOW_DRAWN, round_number)
        for name, aggregation in experiment.aggregations_of(lane).items()
        if aggregation.draws
    ]
