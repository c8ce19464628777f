"""What the page says of every asset beside its description: owners, family and scales, code version."""

from collections.abc import Sequence

import dagster as dg

from assets.evaluation.fingerprints import REPORT_VERSION
from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.method.prompts import PROMPT_VERSION
from resources.grading.grader import grader_version

MOST_OF_A_TAG = 63


def labelled(experiment: Experiment, assets: Sequence[dg.AssetsDefinition]) -> list[dg.AssetsDefinition]:
    """Return the assets with the experiment's owners, a tag a family that holds its scales, and the code version.

    The code version is what, beside the settings, decides an artifact: the wording of the
    prompts, the grader and the reports.
    """
    families = {
        f"gsr/family-{family}": "_".join(scales)[:MOST_OF_A_TAG] for family, scales in experiment.families.items()
    }
    version = f"prompts {PROMPT_VERSION}, {grader_version(experiment.evaluation.grader)}, reports {REPORT_VERSION}"

    def label(spec: dg.AssetSpec) -> dg.AssetSpec:
        return spec.replace_attributes(
            owners=list(experiment.owners),
            tags={**spec.tags, "gsr/experiment": experiment.name, **families},
            code_version=version,
        )

    return [asset.map_asset_specs(label) for asset in assets]
