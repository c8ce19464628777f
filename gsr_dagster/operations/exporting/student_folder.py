"""A student as other tools load it: a folder with its adapter, or all of its weights, tokenizer, chat template and card."""

import json
import shutil
from pathlib import Path

from assets.evaluation.subjects import ADAPTER, weights_of
from assets.refusals import refuse_broken_chain
from assets.teaching.fingerprints import LoraCheckpoints, TrainingCandidates
from assets.teaching.teaching_run import TeachingRun
from gsr_dagster.experiment.keys import OF_TEACHERS, TEACHING, TRAINING_PROBLEMS
from gsr_dagster.method.prompting.prompts import PROMPT_VERSION
from gsr_dagster.operations.exporting.card_facts import student_card
from gsr_dagster.operations.exporting.new_folder import ExportError, new_folder, refuse_occupied
from resources.problems.sources import problem_set_identity
from resources.reporting.cards.model_card import StudentCard, render_card
from resources.store.hashes import HASHES

# What of a fingerprint's settings says how a direct prompt is written.
DIRECT_PROMPT = ("prompt", "worked_examples", "students_see_examples")


def export_student(run: TeachingRun, folder: Path, merged: bool) -> StudentCard:
    """Write a student's folder, whole or not at all, and return what its card tells.

    ``merged`` writes all weights of a student that was trained as an adapter; one that was trained whole
    has no other. Raises ExportError where the folder is in use, where there is no such checkpoint
    and where its adapter fits no model that others have; ArtifactError where its chain is broken.
    """
    refuse_occupied(folder)
    key = run.key(LoraCheckpoints.asset)
    if run.store.manifest(key) is None:
        raise ExportError(f"{run.name} is not trained yet: gsr run trains it")
    refuse_broken_chain(run.store, run.name)
    refuse_another_student(run)
    checkpoint = run.store.local_files(key)
    whole = merged or not (checkpoint / ADAPTER).exists()
    if not whole and run.student.base in run.experiment.students:
        raise ExportError(
            f"{run.name} is an adapter on the merged weights of the student {run.student.base}, which nobody else has: "
            "--merged writes all of its weights"
        )
    card = student_card(run, whole)
    with new_folder(folder) as made:
        _copy(weights_of(run.experiment, run.store, run.name) if whole else checkpoint, made)
        if not whole:
            _name_base(made / ADAPTER, card.public_base)
        (made / "README.md").write_text(render_card(card), encoding="utf-8")
    return card


def refuse_another_student(run: TeachingRun) -> None:
    """Raise ExportError where the experiment file says another student now than was trained: its card would be of that one."""
    experiment, student = run.experiment, run.student
    assets = [asset for asset in TEACHING if not (student.by_rewards and asset in OF_TEACHERS)]
    made = {asset: run.store.existing(run.key(asset)).settings for asset in assets}
    trained, now = made["lora_checkpoints"], LoraCheckpoints(experiment).settings(run.store, run.name)
    refined = made["training_sets" if student.by_rewards else "teacher_refinements"]
    drawn = made["training_candidates"]
    asked = TrainingCandidates(experiment).prompt_settings(student.sampler)
    writers = {
        "sampler": ("training_candidates", student.sampler),
        "teacher of refinements": ("teacher_refinements", student.refiner),
        "teacher of solutions": ("teacher_solutions", student.solver),
    }
    writers = {part: writer for part, writer in writers.items() if writer[0] in made}
    differs = {
        "base": any(trained.get(name) != now.get(name) for name in ("base", "earlier_checkpoints")),
        "chat_template_kwargs": trained.get("chat_template_kwargs") != now.get("chat_template_kwargs"),
        "direct prompt": any(drawn.get(name) != asked.get(name) for name in DIRECT_PROMPT),
        "refinement prompt": refined.get("refinement_prompt", PROMPT_VERSION)
        != experiment.prompts.version("refinement"),
        "k": refined["k"] != experiment.k,
        "training_problems": run.store.existing(TRAINING_PROBLEMS).settings != problem_set_identity(run.problem_set),
        **{part: made[asset]["model"]["key"] != experiment.root(model) for part, (asset, model) in writers.items()},
    }
    if changed := [part for part, other in differs.items() if other]:
        raise ExportError(
            f"{run.name} was trained with another {', '.join(changed)} than the experiment file has now, and its model "
            "card would be wrong: put the file back as it was, or train it again with gsr run"
        )


def _copy(source: Path, folder: Path) -> None:
    for file in source.iterdir():
        if file.is_file() and file.name != HASHES:
            shutil.copyfile(file, folder / file.name)


def _name_base(config: Path, public: tuple[str, str] | None) -> None:
    """Let an adapter's config name its base as other tools load it, and nothing where no hub has it."""
    settings = json.loads(config.read_text(encoding="utf-8"))
    settings["base_model_name_or_path"], settings["revision"] = public or (None, None)
    config.write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n", encoding="utf-8")
