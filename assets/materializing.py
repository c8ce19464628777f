"""Materializing an artifact: what is current is kept, what is new is published, and both are shown on the page."""

import functools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import dagster as dg

from assets.steps import Step
from assets.tracking import track
from gsr_dagster.method.rows import Row
from gsr_dagster.method.scoring.intervals import Interval
from resources import gpus
from resources.engines.base import EngineDiedError
from resources.engines.loading import Engines
from resources.store.artifacts import ArtifactStore
from resources.store.manifests import Manifest, Recipe, StoredFile
from resources.tracking.tracked_run import TrackedRun
from resources.tracking.tracker import Tracker
from resources.training.trainer import TrainingDiedError

PREVIEW_ROWS = 5
PREVIEW_CHARACTERS = 200
# What the id in the first column says already, or only a program reads: a preview has no room for it.
NOT_PREVIEWED = ("problem_id", "prompt_id", "prompt_sha256", "sample_index", "seed", "drawn_with")
RETRIES = 2
SECONDS_BEFORE_A_RETRY = 10

# The steps of this process's assets.
_steps: dict[dg.AssetKey, Step] = {}


@dataclass
class ArtifactContents:
    """What an artifact will hold: rows, or shards that stand in the store already; files; and what was counted.

    ``metadata`` is shown on the page with this materialization only; ``summary`` is kept.
    ``tracked`` is what a tracking server is told of it.
    """

    rows: Sequence[Row] = ()
    shards: Sequence[StoredFile] = ()
    files: Sequence[StoredFile] = ()
    summary: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    tracked: TrackedRun | None = None


def asset_of(
    step: Step, round_number: int | None = None, **options: Any
) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """Return Dagster's decorator for the asset of a step: its key and what must be there first are the step's.

    Of a step of students it is the asset of one round. A run asks for the GPUs of all its assets at once.
    """
    of_round = step.of_round(round_number)
    _steps[of_round.page_key] = of_round

    def asset(make: Callable[..., Any]) -> dg.AssetsDefinition:
        @functools.wraps(make)
        def of_run(context: dg.AssetExecutionContext, **resources: Any) -> Any:
            partition = context.partition_key if context.has_partition_key else ""
            chosen = (_steps[key] for key in context.selected_asset_keys if key in _steps)
            gpus.want(max((one.gpus(partition) for one in chosen if partition in one.partitions), default=0))
            return make(context, **resources)

        return dg.asset(key=of_round.page_key, deps=of_round.dependencies, **options)(of_run)

    return asset


def materialize(
    context: dg.AssetExecutionContext,
    store: ArtifactStore,
    recipe: Recipe,
    make: Callable[[], ArtifactContents],
    tracker: Tracker | None = None,
) -> dg.MaterializeResult:
    """Return the materialization of a recipe, making it only where it is not current, or damaged.

    What is made, and only that, is told to the ``tracker``.
    Where a process died that did the work, the step is tried again, with what it had drawn;
    bad input fails at once.
    """
    manifest = store.current(recipe)
    damaged = False
    for name, fault in store.verified.damaged_files(manifest) if manifest else ():
        damaged = True
        context.log.warning(fault)
        store.drop_file(recipe, name)
    if manifest is not None and not damaged:
        context.log.info(f"{recipe.key} is current: nothing to do")
        return _result(store, manifest, {"work": "none, it was current"}, recipe)
    started = time.monotonic()
    before, upstream = store.manifest(recipe.key), store.upstream(recipe)
    try:
        made = make()
    except (EngineDiedError, TrainingDiedError) as error:
        Engines().release()
        raise dg.RetryRequested(max_retries=RETRIES, seconds_to_wait=SECONDS_BEFORE_A_RETRY) from error
    shards = list(made.shards) or ([store.put_shard(recipe, made.rows)] if made.rows else [])
    manifest = store.publish(recipe, shards, made.summary, made.files, replaced=before, upstream=upstream)
    seconds = time.monotonic() - started
    metadata = {"seconds": round(seconds, 2), **made.metadata}
    if tokens := made.summary.get("generated_tokens"):
        metadata["tokens_per_second"] = round(tokens / seconds, 1)
    if tracker and tracker.settings and made.tracked:
        metadata |= track(context, tracker, store, recipe, manifest, made.tracked, seconds)
    return _result(store, manifest, metadata, recipe)


def _result(store: ArtifactStore, manifest: Manifest, metadata: dict[str, Any], recipe: Recipe) -> dg.MaterializeResult:
    counted = {name: value for name, value in manifest.summary.items() if isinstance(value, (int, float, str))}
    counted |= {name: _short(value) for name, value in manifest.summary.items() if _names(value)}
    shown = {name: round(value, 4) if isinstance(value, float) else value for name, value in counted.items()}
    return dg.MaterializeResult(
        data_version=dg.DataVersion(manifest.data_version),
        metadata={
            "dagster/row_count": manifest.rows,
            **gap_in_points(manifest.summary),
            **shown,
            **metadata,
            "fingerprint": manifest.fingerprint,
            "preview": _preview(store, manifest, recipe),
        },
    )


def gap_in_points(summary: dict[str, Any]) -> dict[str, float | bool]:
    """Return the Refinement Gap of a summary in points, its 95 % interval, and whether that is clear of zero."""
    interval = (summary.get("intervals") or {}).get("refinement_gap")
    if interval is None:
        return {}
    gap = Interval(**interval)
    bounds = {"gap": gap.estimate, "gap_low": gap.low, "gap_high": gap.high}
    # What lies within half a tenth of zero is 0.0 and not -0.0.
    return {name: round(100 * value, 1) + 0.0 for name, value in bounds.items()} | {"significant": gap.clear_of_zero}


def _preview(store: ArtifactStore, manifest: Manifest, recipe: Recipe) -> dg.MetadataValue:
    if not manifest.shards:
        return dg.MetadataValue.text("no rows")
    table = store.read_shard(recipe.key, manifest.fingerprint, manifest.shards[0].name)
    table = table.slice(0, PREVIEW_ROWS).drop_columns(
        [name for name in table.column_names[1:] if name in NOT_PREVIEWED]
    )
    rows = table.to_pylist()
    return dg.MetadataValue.table(
        [dg.TableRecord({name: _short(value) for name, value in row.items()}) for row in rows],
        schema=dg.TableSchema([dg.TableColumn(name) for name in table.column_names]),
    )


def _names(value: Any) -> bool:
    """Return whether a value of a summary is counts or words by name, as samples that broke off are."""
    return isinstance(value, dict) and bool(value) and all(type(part) in (int, str) for part in value.values())


def _short(value: Any) -> str | int | float | bool | None:
    if value is None or isinstance(value, (int, bool)):
        return value
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, dict):
        value = ", ".join(f"{name} {_short(part)}" for name, part in value.items())
    text = str(value)
    return text if len(text) <= PREVIEW_CHARACTERS else text[:PREVIEW_CHARACTERS] + " …"
