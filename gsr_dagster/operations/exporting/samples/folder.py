"""A folder with the samples of an experiment in the form of another tool, and a card that says what is in it."""

from collections.abc import Callable
from pathlib import Path

from gsr_dagster.operations.exporting.new_folder import new_folder
from gsr_dagster.operations.exporting.samples import datasets_form, inspect_form, lm_eval_form
from gsr_dagster.operations.exporting.samples.choosing import Chosen
from resources.reporting.cards.samples_card import Part, SamplesCard, render_samples_card

# What writes a form: files in a folder, and of what they are.
FORMS: dict[str, Callable[[Chosen, Path], list[Part]]] = {
    "datasets": datasets_form.write_tables,
    "inspect": inspect_form.write_logs,
    "lm-eval": lm_eval_form.write_logs,
}
# The forms that hold refinements and training sets beside the pools.
WHOLE = ("datasets",)


def export_samples(chosen: Chosen, folder: Path, form: str) -> SamplesCard:
    """Write the folder, whole or not at all, and return what its card tells.

    Raises ExportError where the folder is in use, and ArtifactError where a shard is missing or damaged.
    """
    with new_folder(folder) as made:
        parts = FORMS[form](chosen, made)
        card = SamplesCard(
            experiment=chosen.experiment,
            form=form,
            parts=parts,
            manifests=[chosen.store.existing(key) for key in chosen.read],
            missing=chosen.missing,
            left_out=chosen.left_out,
            gated=chosen.gated,
            with_gated=chosen.with_gated,
        )
        (made / "README.md").write_text(render_samples_card(card), encoding="utf-8")
    return card
