"""A training as a tracking server shows it."""

from collections.abc import Mapping, Sequence
from typing import Any

from assets.teaching.teaching_run import TeachingRun
from gsr_dagster.experiment.students import OF_IMITATION
from gsr_dagster.method.rows import Row
from resources.tracking.tracked_run import TrackedRun


def tracked_training(run: TeachingRun, history: Sequence[Row], summary: Mapping[str, Any]) -> TrackedRun:
    """Return a training for a tracking server: the student's settings, its curve by step, and what was counted."""
    experiment = run.experiment
    params = {
        "student": run.name,
        "source": experiment.subject_model(run.student.base).source,
        "k": experiment.k,
        "seed": experiment.seed,
        **run.student.model_dump(mode="json", exclude=set(OF_IMITATION) if run.student.by_rewards else None),
    }
    metrics = {name: value for name, value in summary.items() if isinstance(value, int | float)}
    return TrackedRun("training", params, metrics, history)
