"""The quality checks, composed: one step an asset, which answers every question about it."""

from collections.abc import Iterator, Sequence

import dagster as dg

from assets.questions import (
    Artifact,
    Question,
    few_repeated,
    few_timed_out,
    few_truncated,
    few_without_answer,
    gap_gained,
    golds_readable,
    pass_at_1_held,
    samples_complete,
    thinking_closed,
)
from assets.teaching_questions import (
    all_wrong_kept,
    differs_from_base,
    few_overlong,
    lineage_intact,
    loss_fell,
    mixed_as_wanted,
    no_gold_in_prompts,
    teacher_gap_leads,
    teacher_graded_in_time,
    teacher_yields,
    training_finite,
)
from gsr_dagster.experiment import Experiment
from gsr_dagster.partitions import Partitions
from resources.artifacts import ArtifactStore
from resources.manifests import ArtifactKey

DRAWN: list[Question] = [samples_complete, few_truncated, thinking_closed, few_repeated]
AGAINST_BASE: list[Question] = [pass_at_1_held, gap_gained]
EVALUATION: dict[str, list[Question]] = {
    "candidate_pools": DRAWN,
    "graded_candidates": [golds_readable, few_without_answer, few_timed_out],
    "self_refinements": [samples_complete, few_truncated, thinking_closed],
    "gap_reports": [few_without_answer, few_timed_out],
}
TEACHING: dict[str, list[Question]] = {
    "training_candidates": DRAWN,
    "teacher_refinements": [*DRAWN, teacher_gap_leads],
    "teacher_solutions": DRAWN,
    "training_sets": [
        mixed_as_wanted,
        no_gold_in_prompts,
        teacher_yields,
        all_wrong_kept,
        few_overlong,
        teacher_graded_in_time,
    ],
    "lora_checkpoints": [lineage_intact, differs_from_base, training_finite, loss_fell],
}


def quality_checks(experiment: Experiment, partitions: Partitions) -> list[dg.AssetChecksDefinition]:
    """Return the checks of all assets that are partitioned by a subject."""
    lanes = {"base": EVALUATION}
    if experiment.students:
        lanes["student"] = {**EVALUATION, "gap_reports": [*EVALUATION["gap_reports"], *AGAINST_BASE]}
    checks = [
        asked(experiment, partitions.lane(lane), f"{lane}/{name}", questions)
        for lane, assets in lanes.items()
        for name, questions in assets.items()
    ]
    if experiment.students:
        checks += [asked(experiment, partitions.student, name, questions) for name, questions in TEACHING.items()]
    return checks


def asked(
    experiment: Experiment, partitions: dg.PartitionsDefinition, asset: str, questions: Sequence[Question]
) -> dg.AssetChecksDefinition:
    """Return the checks of an asset, one a question; a question's name and docstring are the check's."""
    asset_key = dg.AssetKey(asset.split("/"))
    named = {question.__name__: question for question in questions}
    specs = [
        dg.AssetCheckSpec(name, asset=asset_key, description=question.__doc__, partitions_def=partitions)
        for name, question in named.items()
    ]

    @dg.multi_asset_check(name=f"{asset.replace('/', '_')}_checks", specs=specs, can_subset=True)
    def checks(context: dg.AssetCheckExecutionContext, store: ArtifactStore) -> Iterator[dg.AssetCheckResult]:
        artifact = Artifact(experiment, store, ArtifactKey(asset, context.partition_key))
        selected = {key.name for key in context.selected_asset_check_keys}
        for name, question in named.items():
            if name in selected:
                yield question(artifact)._replace(asset_key=asset_key, check_name=name)

    return checks
