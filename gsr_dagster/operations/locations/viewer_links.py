"""Links from the Dagster page to the viewer, where one is served."""

import os
from collections.abc import Sequence

import dagster as dg

from assets.reports.fingerprints import StudentComparison
from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.experiment.keys import asset_of

VIEW_URL = "GSR_VIEW_URL"
# Assets whose texts the viewer shows.
LOOKED_AT = ("gap_reports", "aggregations", "training_sets")


def viewer_url() -> str | None:
    """Return the viewer's address: $GSR_VIEW_URL, which `gsr page` sets to its own, or None."""
    return os.environ.get(VIEW_URL, "").rstrip("/") or None


def linked(experiment: Experiment, assets: Sequence[dg.AssetsDefinition]) -> list[dg.AssetsDefinition]:
    """Return the assets, those with something to look at in the viewer with a link that a browser opens.

    The link is of the definition and not of a materialization, so that it is always the address of this page's viewer.
    """
    url, report = viewer_url(), StudentComparison(experiment).page_key
    if url is None:
        return list(assets)
    written = f"{url}/{experiment.name}"

    def add(spec: dg.AssetSpec) -> dg.AssetSpec:
        if spec.key == report:
            name, said, address = "report", "Open report.html", f"{written}/report"
        elif asset_of(spec.key).rpartition("/")[2] in LOOKED_AT:
            name, said, address = "viewer", "Look at what the models wrote", written
        else:
            return spec
        described = spec.replace_attributes(description=f"{spec.description}\n\n[{said}]({address})")
        return described.merge_attributes(metadata={name: dg.MetadataValue.url(address)})

    return [asset.map_asset_specs(add) for asset in assets]
