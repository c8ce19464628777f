"""What is told of an artifact to a tracking server, where the experiment file names one."""

import os
from typing import Any

import dagster as dg

from resources.store.artifacts import ArtifactStore
from resources.store.manifests import Manifest, Recipe
from resources.tracking.tracked_run import TrackedRun
from resources.tracking.tracker import NotTrackedError, Tracker

TRACKED = "tracked"
NOT_TRACKED = "not_tracked"


def track(
    context: dg.AssetExecutionContext,
    tracker: Tracker,
    store: ArtifactStore,
    recipe: Recipe,
    manifest: Manifest,
    run: TrackedRun,
    seconds: float,
) -> dict[str, Any]:
    """Tell the tracking server of an artifact that was made, and return for the page where it is shown, or why it is not.

    Nothing that the server does, or that lacks here, fails the Dagster run.
    """
    links = links_of(context, store, recipe, manifest)
    tags = {
        "gsr.kind": run.kind,
        "gsr.experiment": tracker.experiment,
        "gsr.asset": recipe.key.asset,
        "gsr.partition": recipe.key.partition,
        "gsr.data_version": manifest.data_version,
        "gsr.fingerprint": manifest.fingerprint,
        "gsr.artifact": links["Artifact"],
        "dagster.run_id": context.run.run_id,
        **({"dagster.run": links["Dagster run"]} if "Dagster run" in links else {}),
    }
    try:
        shown = tracker.send(str(recipe.key), run, tags, links, seconds)
    except NotTrackedError as error:
        context.log.warning(f"{recipe.key} is made, and not tracked: {error}")
        return {NOT_TRACKED: str(error)}
    return {TRACKED: dg.MetadataValue.url(shown) if shown.startswith("http") else shown}


def links_of(
    context: dg.AssetExecutionContext, store: ArtifactStore, recipe: Recipe, manifest: Manifest
) -> dict[str, str]:
    """Return where an artifact's files lie, or its rows, and where the page shows the run, if its address is known."""
    folder = manifest.files[0].name.rpartition("/")[0] if manifest.files else ""
    links = {"Artifact": store.address(recipe, folder).rstrip("/")}
    if page := os.environ.get("GSR_PAGE_URL", "").rstrip("/"):
        links["Dagster run"] = f"{page}/runs/{context.run.run_id}"
    return links
