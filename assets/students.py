"""Students: a LoRA checkpoint of each."""

import tempfile
from pathlib import Path

import dagster as dg

from assets.materializing import Made, keep
from assets.recipes import Recipes
from gsr_dagster.experiment import Experiment
from gsr_dagster.partitions import Partitions
from resources.artifacts import ArtifactKey, ArtifactStore
from resources.engines.loading import Engines
from resources.plots import markdown_image, training_curve
from resources.trainer import Trainer


def student_assets(experiment: Experiment, partitions: Partitions) -> list:
    """Return the assets of the group "students" with their checks."""

    @dg.asset(
        deps=["training_sets"],
        partitions_def=partitions.student,
        group_name="students",
        kinds={"peft"},
        pool=experiment.pool,
    )
    def lora_checkpoints(
        context: dg.AssetExecutionContext, store: ArtifactStore, engines: Engines, trainer: Trainer
    ) -> dg.MaterializeResult:
        """The student: its base, trained on its training set, by an adapter or whole. The rows are the training curve."""
        name = context.partition_key
        student = experiment.students[name]
        recipe = Recipes(experiment, store).lora_checkpoints(name)

        def make() -> Made:
            rows = store.read(ArtifactKey("training_sets", name))
            source = str(experiment.models[student.base].source)
            engines.release()
            with tempfile.TemporaryDirectory() as scratch:
                folder, history = trainer.train(str(recipe.key), student, source, rows, experiment.seed, Path(scratch))
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

        return keep(context, store, recipe, make)

    @dg.asset_check(asset=dg.AssetKey("lora_checkpoints"), partitions_def=partitions.student)
    def loss_fell(context: dg.AssetCheckExecutionContext, store: ArtifactStore) -> dg.AssetCheckResult:
        """The mean loss of the second half of the steps is below that of the first half."""
        history = store.read(ArtifactKey("lora_checkpoints", context.partition_key))
        losses = [row["loss"] for row in sorted(history, key=lambda row: row["step"])]
        half = max(len(losses) // 2, 1)
        first, second = sum(losses[:half]) / half, sum(losses[-half:]) / half
        metadata = {"first_half": first, "second_half": second}
        return dg.AssetCheckResult(passed=second < first, severity=dg.AssetCheckSeverity.WARN, metadata=metadata)

    return [lora_checkpoints, loss_fell]
