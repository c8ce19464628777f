"""The code location: assets, checks, jobs, sensors and resources of the experiment that $GSR_EXPERIMENT names."""

import os
import warnings
from pathlib import Path

import dagster as dg

from assets.aggregation import aggregation_assets
from assets.checks import quality_checks
from assets.contamination import contamination_assets
from assets.curves import curve_assets
from assets.evaluation import evaluation_assets
from assets.problems import problem_assets
from assets.recipes import Recipes
from assets.reports import report_assets
from assets.students import student_assets
from assets.teaching import teaching_assets
from gsr_dagster.alerting import alert_sensors
from gsr_dagster.automation import lanes, weekly_schedule
from gsr_dagster.experiment import PROJECT, Experiment
from gsr_dagster.experiment_file import experiment_path, load_experiment
from gsr_dagster.labels import labelled
from gsr_dagster.partitions import Partitions
from gsr_dagster.refreshing import refresh_sensor, refreshed
from resources.artifacts import ArtifactStore
from resources.engines.loading import Engines
from resources.grader import Grader
from resources.trainer import Trainer

# Checks of partitioned assets are a preview, conditions of our own a beta: known, pinned by constraints.txt, no news
# to a user.
for known in (dg.PreviewWarning, dg.BetaWarning):
    warnings.filterwarnings("ignore", category=known)


def home() -> Path:
    """Return the folder of artifacts and of the Dagster instance: $GSR_HOME, or .gsr in the project."""
    return Path(os.environ.get("GSR_HOME") or PROJECT / ".gsr").resolve()


def artifact_store(experiment: Experiment) -> ArtifactStore:
    """Return the store of an experiment's artifacts: under $GSR_ARTIFACTS, a folder or s3://..., or home."""
    root = os.environ.get("GSR_ARTIFACTS") or str(home() / "artifacts")
    return ArtifactStore(root=f"{root.rstrip('/')}/{experiment.name}")


def build_definitions(experiment: Experiment) -> dg.Definitions:
    """Return everything that Dagster is to know of an experiment."""
    partitions = Partitions.of(experiment)
    store = artifact_store(experiment)
    parts = [
        *problem_assets(experiment, partitions),
        *contamination_assets(experiment),
        *evaluation_assets(experiment, partitions, "base"),
        *aggregation_assets(experiment, partitions, "base"),
    ]
    if experiment.students:
        parts += teaching_assets(experiment, partitions)
        parts += student_assets(experiment, partitions)
        parts += evaluation_assets(experiment, partitions, "student")
        parts += aggregation_assets(experiment, partitions, "student")
    if experiment.further_ks:
        for lane in ("base", "student") if experiment.students else ("base",):
            parts += curve_assets(experiment, partitions, lane)
    parts += report_assets(experiment)
    parts += quality_checks(experiment, partitions)
    recipes = Recipes(experiment, store)
    assets = [part for part in parts if not isinstance(part, dg.AssetChecksDefinition)]
    return dg.Definitions(
        assets=labelled(experiment, refreshed(experiment, recipes, assets)),
        asset_checks=[part for part in parts if isinstance(part, dg.AssetChecksDefinition)],
        jobs=[lane.job(experiment) for lane in lanes(experiment)],
        schedules=[weekly_schedule(experiment, recipes)],
        sensors=[*alert_sensors(), refresh_sensor(experiment)],
        resources={
            "store": store,
            "engines": Engines(),
            "grader": Grader(name=experiment.evaluation.grader),
            "trainer": Trainer(),
        },
        # One model at a time: two that share a machine's cores or its GPU slow each other.
        executor=dg.in_process_executor,
    )


defs = build_definitions(load_experiment(experiment_path()))
