"""The assets of teaching: all that makes a student."""

from typing import Any

import dagster as dg

from assets.teaching.lora_checkpoints import checkpoint_assets
from assets.teaching.teacher_samples import teacher_sample_assets
from assets.teaching.training_sets import training_set_assets
from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.experiment.partitions import Partitions


def teaching_assets(experiment: Experiment, round_number: int) -> list[dg.AssetsDefinition]:
    """Return the assets of the group "teaching" that make the students of a round."""
    partitions = Partitions.of(experiment, round_number).student
    shared: dict[str, Any] = {"partitions_def": partitions, "group_name": "teaching", "round_number": round_number}
    drawn, *of_teachers = teacher_sample_assets(experiment, shared)
    sampled = [drawn, *of_teachers] if experiment.has_teachers(round_number) else [drawn]
    return [*sampled, *training_set_assets(experiment, shared), *checkpoint_assets(experiment, shared)]
