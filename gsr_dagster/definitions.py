"""The code location: assets, checks, jobs, sensors and resources of the experiment that $GSR_EXPERIMENT names."""

import warnings
from pathlib import Path

import dagster as dg

from assets.aggregation.assets import aggregation_assets
from assets.aggregation.checks import aggregation_checks
from assets.evaluation.assets import evaluation_assets
from assets.evaluation.checks import evaluation_checks
from assets.judging.assets import judging_assets
from assets.judging.checks import judging_checks
from assets.ordering import with_nearest_upstream
from assets.problems.contamination import contamination_assets
from assets.problems.problem_sets import problem_assets
from assets.reports.assets import report_assets
from assets.teaching.assets import teaching_assets
from assets.teaching.checks import teaching_checks
from gsr_dagster.experiment.errors import UserError
from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.experiment.keys import LaneName
from gsr_dagster.experiment.loading import experiment_path, load_experiment
from gsr_dagster.experiment.partitions import Partitions
from gsr_dagster.operations.alerts.sensors import alert_sensors
from gsr_dagster.operations.home import artifact_store, tracker_of
from gsr_dagster.operations.jobs import lane_job, weekly_schedule
from gsr_dagster.operations.labels import labelled
from gsr_dagster.operations.lanes import lanes
from gsr_dagster.operations.locations.origins import warn_of_another_name
from gsr_dagster.operations.locations.viewer_links import linked
from gsr_dagster.operations.run_launcher import leave_failed
from gsr_dagster.operations.staleness import refresh_sensor, refreshed
from resources.engines.loading import Engines
from resources.grading.grader import Grader
from resources.training.trainer import Trainer

# Checks of partitioned assets are a preview, conditions of our own a beta: known, pinned by constraints.txt, no news
# to a user.
for known in (dg.PreviewWarning, dg.BetaWarning):
    warnings.filterwarnings("ignore", category=known)


def build_definitions(experiment: Experiment, with_alerts: bool = True) -> dg.Definitions:
    """Return everything that Dagster is to know of an experiment.

    The alert sensors are of all code locations: where a page has several, one of them has the sensors.
    """
    partitions = Partitions.of(experiment)
    store = artifact_store(experiment)
    parts = [*problem_assets(experiment, partitions), *contamination_assets(experiment)]
    parts += of_lane(experiment, "base", 1)
    for round_number in experiment.rounds if experiment.students else ():
        parts += [*teaching_assets(experiment, round_number), *teaching_checks(experiment, round_number)]
        parts += of_lane(experiment, "student", round_number)
    parts += report_assets(experiment)
    assets = [part for part in parts if not isinstance(part, dg.AssetChecksDefinition)]
    return dg.Definitions(
        assets=linked(experiment, labelled(experiment, refreshed(experiment, store, with_nearest_upstream(assets)))),
        asset_checks=[part for part in parts if isinstance(part, dg.AssetChecksDefinition)],
        jobs=[lane_job(experiment, lane) for lane in lanes(experiment)],
        schedules=[weekly_schedule(experiment, store)],
        sensors=[*(alert_sensors() if with_alerts else []), refresh_sensor(experiment)],
        resources={
            "store": store,
            "engines": Engines(),
            "grader": Grader(name=experiment.evaluation.grader),
            "trainer": Trainer(),
            "tracker": tracker_of(experiment),
        },
        # One model at a time: two that share a machine's cores or its GPU slow each other.
        executor=dg.in_process_executor,
    )


def of_lane(
    experiment: Experiment, lane: LaneName, round_number: int
) -> list[dg.AssetsDefinition | dg.AssetChecksDefinition]:
    """Return the assets and checks of an evaluation lane, of the students of one round."""
    return [
        *evaluation_assets(experiment, lane, round_number),
        *evaluation_checks(experiment, lane, round_number),
        *aggregation_assets(experiment, lane, round_number),
        *aggregation_checks(experiment, lane, round_number),
        *judging_assets(experiment, lane, round_number),
        *judging_checks(experiment, lane, round_number),
    ]


def definitions_of(path: Path, with_alerts: bool = True) -> dg.Definitions:
    """Return the definitions of an experiment's file, for a code location of the page."""
    try:
        experiment = load_experiment(path)
        warn_of_another_name(experiment)
        return build_definitions(experiment, with_alerts)
    except UserError:
        leave_failed()
        raise


@dg.definitions
def defs() -> dg.Definitions:
    """Return the definitions of the experiment that $GSR_EXPERIMENT names, once Dagster loads this module."""
    return definitions_of(experiment_path())
