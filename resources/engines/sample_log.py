"""The sample log: which samples of a recipe are there, and drawing the ones that are missing.

Samples go to the artifact store a shard at a time, before there is a manifest. A run
that was killed loses the shard in memory; the next one draws what is missing, in the
same batches and with the same seeds.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from gsr_dagster.experiment.settings import RolloutSettings
from gsr_dagster.method.prompts import Message
from gsr_dagster.method.rows import Row
from resources.engines.base import Engine, EngineError, Request, Sample, sample_seed
from resources.progress import track
from resources.store.artifacts import ArtifactStore
from resources.store.errors import ArtifactError
from resources.store.hashes import sha256
from resources.store.manifests import Recipe, StoredFile, canonical_json

SHARD_SAMPLES = 256

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Prompt:
    """A prompt with the number of samples wanted of it; ``columns`` join its rows to others."""

    id: str
    messages: list[Message]
    samples: int
    columns: dict[str, Any] = field(default_factory=dict)

    @property
    def sha256(self) -> str:
        return sha256(canonical_json(self.messages))[:16]


def complete_samples(
    store: ArtifactStore,
    recipe: Recipe,
    prompts: Sequence[Prompt],
    id_column: str,
    settings: RolloutSettings,
    load_engine: Callable[[], Engine],
) -> list[StoredFile]:
    """Draw the samples of the recipe that are missing, and return the shards that hold all of them.

    A row is ``{id_column}`` (PROMPT-ID/INDEX), the prompt's columns, ``sample_index``,
    ``seed``, ``prompt_sha256``, ``text``, ``finish_reason``, ``prompt_tokens`` and
    ``generated_tokens``. The engine is loaded only where a sample is missing.
    """
    by_id = {prompt.id: prompt for prompt in prompts}
    shards, there = stored(store, recipe, by_id)
    requests = [r for p in prompts if (r := _missing(p, there, recipe.fingerprint)) is not None]
    wanted = sum(prompt.samples for prompt in prompts)
    missing = sum(len(request.indices) for request in requests)
    if not missing:
        return shards
    if missing < wanted:
        log.info("%s: %d of %d samples are there, drawing %d", recipe.key, wanted - missing, wanted, missing)
    engine = load_engine()
    buffer: list[Row] = []
    with track(str(recipe.key), missing, "samples") as progress:
        try:
            for finished in engine.sample(requests, settings):
                buffer += [_row(by_id[s.request_id], s, id_column) for s in finished]
                progress.advance(len(finished), tokens=sum(s.generated_tokens for s in finished))
                if len(buffer) >= SHARD_SAMPLES:
                    shards.append(store.put_shard(recipe, buffer))
                    buffer = []
        except EngineError:  # some samples cannot be had: the others are kept
            if buffer:
                store.put_shard(recipe, buffer)
            raise
    if buffer:
        shards.append(store.put_shard(recipe, buffer))
    return shards


def adopt_shards(store: ArtifactStore, recipe: Recipe, partitions: Iterable[str]) -> None:
    """Copy what another partition drew with the same fingerprint, so with the same seeds: it would be drawn again.

    Nothing is copied where the recipe has samples of its own; what a killed run had copied is completed.
    """
    for partition in partitions:
        twin = replace(recipe, key=replace(recipe.key, partition=partition))
        own, theirs = set(store.shard_names(recipe)), set(store.shard_names(twin))
        if not own <= theirs:
            continue
        for name in sorted(theirs - own):
            try:
                store.put_shard(recipe, store.read_shard(twin.key, twin.fingerprint, name).to_pylist())
            except ArtifactError as error:
                log.warning("%s. For %s its samples are drawn again.", error, recipe.key)


def stored(
    store: ArtifactStore, recipe: Recipe, prompts: dict[str, Prompt]
) -> tuple[list[StoredFile], set[tuple[str, int]]]:
    """Return the usable shards and the (prompt id, sample index) pairs in them.

    A shard that is damaged, or whose prompts have changed, is dropped with a warning. What
    two runs drew at once counts once: as it was published, where one of them was.
    """
    shards, there = [], set()
    manifest = store.manifest(recipe.key)
    published = {shard.name for shard in manifest.shards} if manifest else set()
    for name in sorted(store.shard_names(recipe), key=lambda name: (name not in published, name)):
        try:
            shard, table = store.stored_shard(recipe, name, "prompt_id", "sample_index", "prompt_sha256")
        except ArtifactError as error:
            log.warning("%s. Its samples are drawn again.", error)
            store.drop_file(recipe, name)
            continue
        rows = table.to_pylist()
        changed = [r for r in rows if (p := prompts.get(r["prompt_id"])) and p.sha256 != r["prompt_sha256"]]
        if changed:
            log.warning(
                "%s: the prompt of %s has changed; %s is drawn again.", recipe.key, changed[0]["prompt_id"], name
            )
            store.drop_file(recipe, name)
            continue
        pairs = [(row["prompt_id"], row["sample_index"]) for row in rows]
        new = [number for number, pair in enumerate(pairs) if pair not in there]
        if len(new) == len(rows):
            shards.append(shard)
        elif new:
            whole = store.read_shard(recipe.key, recipe.fingerprint, name)
            shards.append(store.put_shard(recipe, whole.take(new).to_pylist()))
        there |= set(pairs)
    return shards, there


def _missing(prompt: Prompt, there: set[tuple[str, int]], fingerprint: str) -> Request | None:
    indices = tuple(i for i in range(prompt.samples) if (prompt.id, i) not in there)
    if not indices:
        return None
    seeds = tuple(sample_seed(fingerprint, prompt.id, index) for index in indices)
    return Request(prompt.id, prompt.messages, indices, seeds)


def _row(prompt: Prompt, sample: Sample, id_column: str) -> Row:
    return {
        id_column: f"{prompt.id}/{sample.index}",
        "prompt_id": prompt.id,
        **prompt.columns,
        "sample_index": sample.index,
        "seed": sample.seed,
        "prompt_sha256": prompt.sha256,
        "text": sample.text,
        "finish_reason": sample.finish_reason,
        "prompt_tokens": sample.prompt_tokens,
        "generated_tokens": sample.generated_tokens,
    }
