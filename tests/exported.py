"""A student that is a real adapter of a real model, taken through the small experiment of tests/school.py and exported."""

from pathlib import Path

import pytest

from assets.teaching.teaching_run import TeachingRun
from gsr_dagster.experiment.keys import ArtifactKey
from gsr_dagster.operations.exporting.student_folder import export_student
from resources.training.process import write_checkpoint
from resources.training.trainer import Trained
from tests import school

RANK = 8
# So far from nothing that it changes what the small model answers.
SIZE = 0.2


def trained_and_exported(patch: pytest.MonkeyPatch, place: Path, model: Path, source: str) -> tuple[Path, Path]:
    """Return the folders of an adapter as it was trained and as it was exported. ``source`` names the weights of ``model``."""
    school.play(patch)
    patch.setattr("resources.engines.loading._loaded", {})

    def engine(asked, checkpoint):
        return school.ScriptedEngine(
            school.SKILLS["student" if checkpoint else "tiny" if asked.source == source else "big"]
        )

    def train(self, label, student, source, rows, seed, scratch: Path, **more) -> Trained:
        trained = school.scripted_training(self, label, student, source, rows, seed, scratch, **more)
        write_checkpoint(*adapted(model), source, trained.folder)
        return trained

    patch.setattr("resources.engines.loading._engine", engine)
    patch.setattr("resources.training.trainer.Trainer.train", train)
    written = school.document(place)
    written["families"]["llama"]["tiny"]["source"] = source
    made = school.School(written, place / "artifacts")
    made.run_all()
    export_student(TeachingRun(made.experiment, made.store, school.STUDENT), place / "exported", merged=False)
    return made.store.local_files(ArtifactKey("lora_checkpoints", school.STUDENT)), place / "exported"


def adapted(model: Path):
    """Return a model with an adapter that is not trained, no state of its own, and its tokenizer."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.manual_seed(0)
    config = LoraConfig(r=RANK, lora_alpha=RANK, target_modules="all-linear", task_type="CAUSAL_LM")
    student = get_peft_model(AutoModelForCausalLM.from_pretrained(model), config)
    for name, weight in student.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=SIZE)
    return student, None, AutoTokenizer.from_pretrained(model)
