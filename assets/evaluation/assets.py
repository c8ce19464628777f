"""The assets of an evaluation lane, made once for base models ("base") and once for students ("student")."""

from typing import Any

import dagster as dg

from assets.evaluation.candidates import candidate_assets
from assets.evaluation.gap_curves import curve_assets
from assets.evaluation.gap_reports import gap_report_assets
from assets.evaluation.refinements import refinement_assets
from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.experiment.keys import LaneName
from gsr_dagster.experiment.partitions import Partitions


def evaluation_assets(experiment: Experiment, lane: LaneName, round_number: int = 1) -> list[dg.AssetsDefinition]:
    """Return the evaluation assets of a lane, of the students of one round."""
    shared = lane_options(experiment, lane, round_number)
    made = (candidate_assets, refinement_assets, gap_report_assets, curve_assets)
    return [asset for assets in made for asset in assets(experiment, lane, shared)]


def lane_options(experiment: Experiment, lane: LaneName, round_number: int) -> dict[str, Any]:
    """Return what all assets of a lane share."""
    partitions = Partitions.of(experiment, round_number).lane(lane)
    return {"partitions_def": partitions, "group_name": f"{lane}_evaluation", "round_number": round_number}
