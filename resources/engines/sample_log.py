"""The sample log: which samples of a recipe are there, and drawing the ones that are missing.

Samples go to the artifact store a shard at a time, before there is a manifest. A run
that was killed loses the shard in memory, one that fails or is stopped by Ctrl-C keeps it;
the next one draws what is missing, in the same batches and with the same seeds.

A prompt that fills the model's context is not sent: it fails no run, and its samples are
there without a text. They are drawn when the artifact is made again and the prompt may
fit, as after a longer ``context`` in the experiment file.
"""

import json
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from typing import Any

from gsr_dagster.experiment.settings import RolloutSettings
from gsr_dagster.method.policies.confidence import thousandths
from gsr_dagster.method.prompting.prompts import Message
from gsr_dagster.method.rows import Row
from resources.engines.base import (
    UNASKED,
    Engine,
    Request,
    Sample,
    chat_sha256,
    sample_seed,
    surely_within,
)
from resources.progress import track
from resources.store.artifacts import ArtifactStore
from resources.store.errors import ArtifactError
from resources.store.manifests import Recipe, StoredFile

SHARD_SAMPLES = 256

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Prompt:
    """A prompt with the number of samples wanted of it; ``columns`` join its rows to others.

    ``taught`` is the chat that a student learns these samples with, which its rows carry as ``messages``.
    """

    id: str
    messages: list[Message]
    samples: int
    columns: dict[str, Any] = field(default_factory=dict)
    taught: list[Message] | None = None

    @cached_property
    def sha256(self) -> str:
        return chat_sha256(self.messages)


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
    ``seed``, ``prompt_sha256``, ``text``, ``finish_reason``, ``prompt_tokens``,
    ``generated_tokens`` and ``drawn_with`` (see ``drawn_with``); and ``confidences``, in thousandths
    of a nat, where the settings ask for ``logprobs``, and ``recorded_label`` where a recorded
    sample has one. The engine is loaded only where a sample is missing, or was not asked for and may be now.
    """
    load = cache(load_engine)
    by_id = {prompt.id: prompt for prompt in prompts}
    shards, there = stored(store, recipe, by_id, lambda prompt: _room_for(load(), prompt.messages) > 0)
    requests = [r for p in prompts if (r := _missing(p, there, recipe.fingerprint)) is not None]
    wanted = sum(prompt.samples for prompt in prompts)
    missing = sum(len(request.indices) for request in requests)
    if not missing:
        return shards
    if missing < wanted:
        log.info("%s: %d of %d samples are there, drawing %d", recipe.key, wanted - missing, wanted, missing)
    engine = load()
    requests, unasked = _unasked(recipe, engine, requests)
    with track(str(recipe.key), missing, "samples") as progress:
        buffer = _rows(by_id, unasked, id_column, engine)
        progress.advance(len(unasked))
        try:
            for finished in engine.sample(requests, settings) if requests else ():
                buffer += _rows(by_id, finished, id_column, engine)
                progress.advance(len(finished), tokens=sum(s.generated_tokens for s in finished))
                if len(buffer) >= SHARD_SAMPLES:
                    shards.append(store.put_shard(recipe, buffer))
                    buffer = []
        except BaseException:  # samples that cannot be had, or Ctrl-C: what was drawn is kept
            write_unfinished_shard(store, recipe, buffer, "samples that were drawn")
            raise
    if buffer:
        shards.append(store.put_shard(recipe, buffer))
    return shards


def write_unfinished_shard(store: ArtifactStore, recipe: Recipe, rows: Sequence[Row], what: str) -> None:
    """Write the rows of a run that ends early as a shard, so that the next run makes only the others.

    The rows are whole batches. So the next run has the same batches left, and draws the same samples.
    """
    if not rows:
        return
    try:
        store.put_shard(recipe, rows)
    except Exception as error:  # why the run ends is told, and matters more
        log.warning("%s: %d %s are lost: %s", recipe.key, len(rows), what, error)


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
    store: ArtifactStore,
    recipe: Recipe,
    prompts: dict[str, Prompt],
    may_be_asked: Callable[[Prompt], bool] | None = None,
) -> tuple[list[StoredFile], set[tuple[str, int]]]:
    """Return the usable shards and the (prompt id, sample index) pairs in them.

    A shard that is damaged, or whose prompts have changed, is dropped with a warning. What
    two runs drew at once counts once: as it was published, where one of them was. Samples
    that were not asked for do not count where ``may_be_asked`` says so of their prompt, or
    they were drawn since.
    """
    columns = ("prompt_id", "sample_index", "prompt_sha256", *(["finish_reason"] if may_be_asked else []))
    usable: list[tuple[StoredFile, list[Row]]] = []
    manifest = store.manifest(recipe.key)
    published = {shard.name for shard in manifest.shards} if manifest else set()
    for name in sorted(store.shard_names(recipe), key=lambda name: (name not in published, name)):
        try:
            shard, table = store.stored_shard(recipe, name, *columns)
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
        usable.append((shard, rows))
    shards, there = [], set()
    outdated = _outdated(usable, prompts, may_be_asked) if may_be_asked else set()
    for shard, rows in usable:
        pairs = [(row["prompt_id"], row["sample_index"]) for row in rows]
        new = [
            number
            for number, (pair, row) in enumerate(zip(pairs, rows, strict=True))
            if pair not in there and not (pair in outdated and row["finish_reason"] == UNASKED)
        ]
        if len(new) == len(rows):
            shards.append(shard)
        elif new:
            whole = store.read_shard(recipe.key, recipe.fingerprint, shard.name)
            shards.append(store.put_shard(recipe, whole.take(new).to_pylist()))
        there |= {pairs[number] for number in new}
    return shards, there


def drawn_with(engine: Engine) -> str:
    """Return what else is known of samples, as JSON: what counted their tokens, the context, and the engine's notes.

    It stands beside the samples and not in a run's memory, so that a run that was killed
    and gone on with ends in the same manifest.
    """
    told = {
        "counted_by": engine.counts_by,
        "context": engine.context,
        "notes": engine.notes,
    }
    return json.dumps({name: value for name, value in told.items() if value}, sort_keys=True)


def _outdated(
    usable: Sequence[tuple[StoredFile, list[Row]]],
    prompts: dict[str, Prompt],
    may_be_asked: Callable[[Prompt], bool],
) -> set[tuple[str, int]]:
    """Return the samples whose row without a text counts no more: they were drawn since, or can be drawn now."""
    asked, unasked = set(), set()
    for _, rows in usable:
        for row in rows:
            (unasked if row["finish_reason"] == UNASKED else asked).add((row["prompt_id"], row["sample_index"]))
    left = unasked - asked
    wanted = {name: prompts[name] for name, index in sorted(left) if name in prompts and index < prompts[name].samples}
    again = {name for name, prompt in wanted.items() if may_be_asked(prompt)}
    return (unasked & asked) | {pair for pair in left if pair[0] in again}


def _room_for(engine: Engine, messages: list[Message]) -> int:
    """Return how many tokens the context leaves for an answer: 1 where there is no telling, or more than enough."""
    context = engine.context
    if context is None or surely_within(messages, context):
        return 1
    return context - engine.prompt_tokens(messages)


def _unasked(recipe: Recipe, engine: Engine, requests: Sequence[Request]) -> tuple[list[Request], list[Sample]]:
    """Return the requests that can be sent, and the samples of those whose prompt leaves no room for an answer."""
    asked, unasked = list[Request](), list[Sample]()
    for request in requests:
        room = _room_for(engine, request.messages)
        if room > 0:
            asked.append(request)
            continue
        tokens = (engine.context or 0) - room
        drawn = zip(request.indices, request.seeds, strict=True)
        unasked += [Sample(request.id, index, seed, "", UNASKED, tokens, 0) for index, seed in drawn]
    if unasked:
        log.warning(
            "%s: %d of %d prompts are not asked: they leave no room in the context of %d tokens, the first is %s with %d",
            recipe.key, len(requests) - len(asked), len(requests), engine.context, unasked[0].request_id,
            unasked[0].prompt_tokens,
        )  # fmt: skip
    return asked, unasked


def _missing(prompt: Prompt, there: set[tuple[str, int]], fingerprint: str) -> Request | None:
    indices = tuple(i for i in range(prompt.samples) if (prompt.id, i) not in there)
    if not indices:
        return None
    seeds = tuple(sample_seed(fingerprint, prompt.id, index) for index in indices)
    return Request(prompt.id, prompt.messages, indices, seeds)


def _rows(prompts: dict[str, Prompt], samples: Sequence[Sample], id_column: str, engine: Engine) -> list[Row]:
    beside = drawn_with(engine)
    return [{**_row(prompts[sample.request_id], sample, id_column), "drawn_with": beside} for sample in samples]


def _row(prompt: Prompt, sample: Sample, id_column: str) -> Row:
    return {
        id_column: f"{prompt.id}/{sample.index}",
        "prompt_id": prompt.id,
        **prompt.columns,
        **({"messages": json.dumps(prompt.taught)} if prompt.taught else {}),
        "sample_index": sample.index,
        "seed": sample.seed,
        "prompt_sha256": prompt.sha256,
        "text": sample.text,
        "finish_reason": sample.finish_reason,
        "prompt_tokens": sample.prompt_tokens,
        "generated_tokens": sample.generated_tokens,
        **({} if sample.confidences is None else {"confidences": thousandths(sample.confidences)}),
        **({} if sample.recorded_label is None else {"recorded_label": sample.recorded_label}),
    }
