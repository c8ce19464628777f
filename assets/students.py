"""Students: a LoRA checkpoint of each."""

from typing import Any

import dagster as dg

from assets.materializing import Made, keep
from assets.recipes import Recipes
from assets.refusals import refuse_unbalanced
from gsr_dagster.experiment import Experiment
from gsr_dagster.partitions import Partitions
from resources.artifacts import ArtifactStore
from resources.engines.loading import Engines
from resources.lineage import recorded_versions
from resources.manifests import ArtifactKey
from resources.objects import scratch_folder
from resources.plots import markdown_image, training_curve
from resources.trainer import Trainer


def student_assets(experiment: Experiment, partitions: Partitions) -> list:
    """Return the assets that come of a training set, in the group "teaching" beside it."""

    @dg.asset(
        deps=["training_sets"],
        partitions_def=partitions.student,
        group_name="teaching",
        kinds={"peft"},
        pool=experiment.pool,
    )
    def lora_checkpoints(
        context: dg.AssetExecutionContext, store: ArtifactStore, engines: Engines, trainer: Trainer
    ) -> dg.MaterializeResult:
        """The student: its base, trained on its training set, by an adapter or whole. The rows are the training curve."""
        name = context.partition_key
        student = experiment.students[name]
        training_set = ArtifactKey("training_sets", name)
        recipe = Recipes(experiment, store).lora_checkpoints(name)

        def make() -> Made:
            rows = store.read(training_set)
            refuse_unbalanced(training_set, rows, student.rows)
            source = str(experiment.models[student.base].source)
            engines.release()
            with scratch_folder() as scratch:
                folder, history = trainer.train(str(recipe.key), student, source, rows, experiment.seed, scratch)
                files = store.put_files(recipe, folder)
            return Made(
                history,
                files=files,
                summary={
                    "training_rows": len(rows),
                    "steps": history[-1]["step"],
                    "first_loss": history[0]["loss"],
                    "last_loss": history[-1]["loss"],
                },
                metadata={"training_curve": dg.MetadataValue.md(markdown_image(training_curve(history)))},
            )

        kept = keep(context, store, recipe, make)
        context.add_output_metadata(made_from(experiment, store, name))
        return kept

    return [lora_checkpoints]


def made_from(experiment: Experiment, store: ArtifactStore, name: str) -> dict[str, Any]:
    """Return a checkpoint's lineage for the page: what made it, by data version, with links to the assets."""
    student = experiment.students[name]
    versions = recorded_versions(store, ArtifactKey("lora_checkpoints", name))
    parts = {
        "training set": ("training_sets", ""),
        "teacher's refinements": ("teacher_refinements", student.teacher),
        "teacher's solutions": ("teacher_solutions", student.teacher),
        "candidates": ("training_candidates", student.sampler),
    }
    rows = []
    for part, (asset, model) in parts.items():
        key = ArtifactKey(asset, name)
        version = versions.get(str(key), "not known: what was made from it is missing")
        rows.append(dg.TableRecord({"part": part, "artifact": str(key), "model": model, "data version": version}))
    links = {part: dg.MetadataValue.asset(dg.AssetKey(asset)) for part, (asset, _) in parts.items()}
    return {"made_from": dg.MetadataValue.table(rows), **links}
