"""Students: a LoRA checkpoint of each."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import dagster as dg

from assets.evaluation.fingerprints import checkpoint_key
from assets.evaluation.subjects import weights_of
from assets.grading import references
from assets.materializing import ArtifactContents, asset_of, materialize
from assets.refusals import refuse_unbalanced
from assets.teaching.chosen_rows import SHARD_ROWS
from assets.teaching.fingerprints import LoraCheckpoints
from assets.teaching.teaching_run import TeachingRun
from assets.teaching.tracked_trainings import tracked_training
from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.method.rows import Row
from resources import gpus
from resources.engines.loading import Engines
from resources.grading.worker import GAVE_UP
from resources.reporting.figures.training_plots import training_curve
from resources.store.artifacts import ArtifactStore
from resources.store.files import scratch_folder
from resources.store.lineage import recorded_versions
from resources.store.manifests import Recipe, StoredFile
from resources.tracking.tracker import Tracker
from resources.training.reinforcement.rollouts import Rollouts
from resources.training.saves import saves_of
from resources.training.trainer import Rewarded, Trainer


def checkpoint_assets(experiment: Experiment, shared: dict[str, Any]) -> list[dg.AssetsDefinition]:
    """Return the asset of the checkpoints."""
    step = LoraCheckpoints(experiment)

    @asset_of(step, kinds={"peft"}, pool=experiment.pool, **shared)
    def lora_checkpoints(
        context: dg.AssetExecutionContext,
        store: dg.ResourceParam[ArtifactStore],
        engines: Engines,
        trainer: Trainer,
        tracker: dg.ResourceParam[Tracker],
    ) -> dg.MaterializeResult:
        """The student: its base, trained on its training set, by an adapter or whole. The rows are the training curve."""
        run = TeachingRun(experiment, store, context.partition_key)
        recipe = step.recipe(store, run.name)
        result = materialize(context, store, recipe, lambda: train_student(run, recipe, engines, trainer), tracker)
        saves_of(recipe.fingerprint).remove()
        context.add_output_metadata(made_from(run))
        return result

    return [lora_checkpoints]


def train_student(run: TeachingRun, recipe: Recipe, engines: Engines, trainer: Trainer) -> ArtifactContents:
    """Train a student on its rows. Raises ArtifactError where these are of another mixture than is wanted."""
    student, key = run.student, run.key("training_sets")
    refuse_unbalanced(key, run.store.rows(key, "kind"), student.rows)
    if there := trained_before(run.store, recipe):
        return there
    base = run.experiment.subject_model(student.base)
    earlier = student.base in run.experiment.students
    weights = weights_of(run.experiment, run.store, student.base) if earlier else None
    engines.release()
    gpus.hold(LoraCheckpoints(run.experiment).gpus(run.name))
    with scratch_folder() as scratch:
        folder, history, facts, rollouts = trainer.train(
            str(recipe.key),
            student,
            f"the student {student.base}" if earlier else str(base.source),
            prompts_with_golds(run) if student.by_rewards else run.store.rows(key, "kind", "messages", "completion"),
            run.experiment.seed,
            scratch,
            template_kwargs=base.chat_template_kwargs,
            saves=saves_of(recipe.fingerprint),
            address=run.experiment.cluster(run.name),
            folder=weights,
            rewarded=rewarded_by(run) if student.by_rewards else None,
        )
        files = run.store.put_files(recipe, folder)
        kept, counts = kept_rollouts(run.store, recipe, rollouts) if student.by_rewards else ([], {})
    validated = [row["validation_loss"] for row in history if row.get("validation_loss") is not None]
    summary = {
        "training_rows": run.store.existing(key).rows,
        "steps": history[-1]["step"],
        "first_loss": history[0]["loss"],
        "last_loss": history[-1]["loss"],
        **({"last_validation_loss": validated[-1]} if validated else {}),
        **facts,
        **counts,
    }
    tracked = tracked_training(run, history, summary)
    return ArtifactContents(
        history, files=[*files, *kept], summary=summary, metadata=drawn_curve(history), tracked=tracked
    )


def prompts_with_golds(run: TeachingRun) -> Iterator[Row]:
    """Yield the prompts of a student that learns from rewards, each with what its rollouts are held against."""
    of = references(run.problems())
    for row in run.store.rows(run.key("training_sets"), "row_id", "kind", "problem_id", "messages"):
        yield {**row, "gold": of[row["problem_id"]].gold, "domain": of[row["problem_id"]].domain}


def rewarded_by(run: TeachingRun) -> Rewarded:
    """Return what decides a student's rewards: what its evaluation decides by."""
    return Rewarded(run.experiment.evaluation.grader, run.experiment.thinking_end(run.name))


def kept_rollouts(store: ArtifactStore, recipe: Recipe, folder: Path) -> tuple[list[StoredFile], dict[str, int]]:
    """Put the rollouts of a training beside its checkpoint, and return their shards and what was counted of them."""
    shards, counts = list[StoredFile](), Counter[str]()
    for rows in Rollouts(folder).shards(SHARD_ROWS):
        shards.append(store.put_table(recipe, "training_rollouts", rows))
        counts["rollouts"] += len(rows)
        counts["rewarded_rollouts"] += sum(row["reward"] > 0 for row in rows)
        counts["rollouts_with_gradient"] += sum(row["advantage"] != 0 for row in rows)
        counts["rollouts_without_answer"] += sum(row["verdict"] == "no answer" for row in rows)
        counts["timed_out_rollouts"] += sum(row["verdict"] in GAVE_UP for row in rows)
    return shards, dict(counts)


def trained_before(store: ArtifactStore, recipe: Recipe) -> ArtifactContents | None:
    """Return what a checkpoint holds that was trained by the same recipe, None where there is none or it is damaged.

    Its training set may have been made again since, with the very same rows.
    """
    manifest = store.manifest(recipe.key)
    if manifest is None or manifest.fingerprint != recipe.fingerprint or any(store.verified.damaged_files(manifest)):
        return None
    metadata = {**drawn_curve(store.read(recipe.key)), "trained": "before"}
    return ArtifactContents(shards=manifest.shards, files=manifest.files, summary=manifest.summary, metadata=metadata)


def drawn_curve(history: Sequence[Row]) -> dict[str, dg.MetadataValue]:
    """Return the training curve for the page."""
    return {"training_curve": dg.MetadataValue.md(training_curve(history).markdown)}


def made_from(run: TeachingRun) -> dict[str, Any]:
    """Return a checkpoint's lineage for the page: what made it, by data version, with links to the assets."""
    links = {
        part: dg.MetadataValue.asset(run.experiment.page_key(run.key(asset)))
        for part, (asset, _) in _parts(run).items()
    }
    return {"made_from": dg.MetadataValue.table([dg.TableRecord(row) for row in lineage_rows(run)]), **links}


def lineage_rows(run: TeachingRun) -> list[dict[str, str]]:
    """Return a row for each part that made a checkpoint: ``part``, ``artifact``, ``model`` and ``data version``."""
    versions = recorded_versions(run.store, run.key(LoraCheckpoints.asset))
    rows = []
    for earlier in run.experiment.earlier(run.name):
        key = str(checkpoint_key(earlier))
        rows.append(
            {"part": "earlier student", "artifact": key, "model": earlier, "data version": versions.get(key, "")}
        )
    for part, (asset, model) in _parts(run).items():
        key = str(run.key(asset))
        version = versions.get(key, "not known: what was made from it is missing")
        rows.append({"part": part, "artifact": key, "model": model, "data version": version})
    return rows


def _parts(run: TeachingRun) -> dict[str, tuple[str, str]]:
    """Return the asset of each part that makes a checkpoint, and the model that wrote it, "" where none did."""
    if run.student.by_rewards:
        return {"prompts": ("training_sets", ""), "candidates": ("training_candidates", run.student.sampler)}
    return {
        "training set": ("training_sets", ""),
        "teacher's refinements": ("teacher_refinements", run.student.refiner),
        "teacher's solutions": ("teacher_solutions", run.student.solver),
        "candidates": ("training_candidates", run.student.sampler),
    }
