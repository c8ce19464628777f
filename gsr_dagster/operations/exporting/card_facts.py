"""What the card of a student tells, from the store's manifests and summaries: no model is loaded, no sample is read."""

import dataclasses

from assets.evaluation.fingerprints import SelfRefinements, checkpoint_key
from assets.reports.collecting import reported_gap
from assets.teaching.chosen_rows import TrainingSetCounts
from assets.teaching.lora_checkpoints import lineage_rows
from assets.teaching.teaching_run import TeachingRun
from resources.reporting.cards.model_card import StudentCard
from resources.reporting.report_rows import ReportedGap


def student_card(run: TeachingRun, whole: bool) -> StudentCard:
    """Return the facts of a student that is trained. ``whole``: all of its weights are exported."""
    key = checkpoint_key(run.name)
    checkpoint = run.store.existing(key)
    own = {"part": "checkpoint", "artifact": str(key), "model": run.name, "data version": checkpoint.data_version}
    subjects = (run.student.base, run.name)
    found = [reported(run, benchmark, subject) for benchmark in run.experiment.benchmarks for subject in subjects]
    return StudentCard(
        experiment=run.experiment,
        name=run.name,
        whole=whole,
        checkpoint=checkpoint,
        counts=dataclasses.asdict(run.store.summary(run.key("training_sets"), TrainingSetCounts)),
        gaps=[gap for gap in found if gap is not None],
        lineage=[own, *lineage_rows(run)],
    )


def reported(run: TeachingRun, benchmark: str, subject: str) -> ReportedGap | None:
    """Return a subject's gap report, None where there is none of today's weights, problems, prompts and rollout settings."""
    evaluation = run.experiment.evaluation_of(benchmark, subject)
    gap, refined = (run.store.manifest(evaluation.artifact(name)) for name in ("gap_reports", "self_refinements"))
    recipe = SelfRefinements(run.experiment, evaluation.lane).recipe(run.store, evaluation.partition)
    if gap is None or refined is None or refined.fingerprint != recipe.fingerprint:
        return None
    read = gap.upstream.get(str(refined.key))
    return reported_gap(run.experiment, run.store, evaluation) if read == refined.data_version else None
