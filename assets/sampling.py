"""Drawing samples into an artifact, and the chats that show candidates to a model."""

import json
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pyarrow.compute

from assets.materializing import ArtifactContents
from gsr_dagster.experiment.aggregations.base import ChoicePrompt
from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.experiment.settings import RolloutSettings
from gsr_dagster.method.prompting.prompts import CUT_MARK, NO_ANSWER, Message, fit_candidates, refinement_messages
from gsr_dagster.method.rejection_sampling import cut_off, ended_by_itself
from resources.engines.base import UNASKED, Engine, surely_within
from resources.engines.sample_log import Prompt, complete_samples
from resources.store.artifacts import ArtifactStore
from resources.store.manifests import Recipe, StoredFile
from resources.texts import printable

pc: Any = pyarrow.compute  # its functions are made as it is imported, and no type checker knows them
REFUSAL = "refusal"
LONGEST_NAME = 40
# To cut a text by its tokens can leave one or two more than were counted.
MOST_CUTS = 4

log = logging.getLogger(__name__)


def draw_samples(
    store: ArtifactStore,
    recipe: Recipe,
    prompts: Sequence[Prompt],
    id_column: str,
    rollout: RolloutSettings,
    load_engine: Callable[[], Engine],
    **counted: int,
) -> ArtifactContents:
    """Draw the samples of a recipe that are missing, and return all of them with their counts.

    ``counted`` is what was counted besides: it stands in the summary too.
    """
    shards = complete_samples(store, recipe, prompts, id_column, rollout, load_engine)
    summary = count_samples(store, recipe, shards)
    broken = {f"broken off ({name})": count for name, count in summary.get("broken_off", {}).items()}
    unusual = {name: summary[name] for name in ("refusals", "empty_answers", "unasked") if name in summary} | broken
    if unusual:
        named = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in unusual.items())
        log.warning("%s: of %d samples, %s", recipe.key, summary["samples"], printable(named))
    return ArtifactContents(shards=shards, summary={**summary, **counted})


def count_samples(store: ArtifactStore, recipe: Recipe, shards: Sequence[StoredFile]) -> dict[str, Any]:
    """Return what an artifact of samples says of them: how many there are, and how they ended.

    ``truncated`` by the token limit, and where there are any: ``refusals``; ``empty_answers``,
    with no text but space; ``unasked``, whose prompt no model could take, and the ``context``
    that it was over; ``broken_off``, by what the engine called it. ``counted_by`` and ``notes``
    say what the samples were drawn with, where that is known.
    """
    counts, endings, told = Counter[str](), Counter[str](), list[tuple[str, dict[str, Any]]]()
    for shard in shards:
        table = store.read_shard(recipe.key, recipe.fingerprint, shard.name)
        alike = [name for name in ("finish_reason", "drawn_with") if name in table.column_names]
        for group in table.group_by(alike, use_threads=False).aggregate([([], "count_all")]).to_pylist():
            endings[group["finish_reason"]] += group["count_all"]
            told.append((group["finish_reason"], json.loads(group.get("drawn_with") or "{}")))
        # Texts are long and many: they stay in Arrow's memory.
        asked = table.filter(pc.not_equal(table["finish_reason"], UNASKED))
        counts["samples"] += table.num_rows
        counts["generated_tokens"] += pc.sum(table["generated_tokens"]).as_py() or 0
        counts["empty_answers"] += pc.sum(pc.equal(pc.utf8_trim_whitespace(asked["text"]), "")).as_py() or 0
    broken = Counter[str]()
    for name in set(endings) - {REFUSAL, UNASKED}:
        if not ended_by_itself(name) and not cut_off(name):
            broken[name[:LONGEST_NAME]] += endings[name]
    where_any = {
        "refusals": endings[REFUSAL],
        "empty_answers": counts["empty_answers"],
        "unasked": endings[UNASKED],
        "broken_off": dict(sorted(broken.items())),
    }
    return {
        "samples": counts["samples"],
        "generated_tokens": counts["generated_tokens"],
        "truncated": sum(count for name, count in endings.items() if cut_off(name)),
        **{name: count for name, count in where_any.items() if count},
        **_drawn_with(told),
    }


def candidates_chat(
    experiment: Experiment,
    engine: Engine,
    rollout: RolloutSettings,
    problem: str,
    summaries: Sequence[str | None],
    write: ChoicePrompt | None = None,
    before: Sequence[Message] = (),
) -> tuple[list[Message], int]:
    """Return the chat that shows candidates in their order, and how many were shortened.

    It begins with the turns ``before``, of worked refinements. ``write`` writes it, in place of
    the experiment's refinement prompt.

    They are within the token budget, and leave the context room for an answer of the
    token limit. Where that room is more than half of what the problem leaves, candidates
    and answer have half each.
    """
    budget, context, least = experiment.evaluation.candidate_tokens, engine.context, len(summaries)
    write = write or partial(refinement_messages, ask=experiment.prompts.ask_refinement)

    def within(tokens: int) -> tuple[list[Message], int]:
        shown, cut = fit_candidates(summaries, tokens, engine.tokenize, engine.detokenize)
        return [*before, *write(problem, shown)], cut

    messages, cut = within(budget)
    if context is None or surely_within(messages, context - rollout.max_new_tokens):
        return messages, cut
    marks = [CUT_MARK if summary else NO_ANSWER for summary in summaries]
    rest = engine.prompt_tokens([*before, *write(problem, marks)])
    most = max(context - rollout.max_new_tokens, (context + rest) // 2)
    for _ in range(MOST_CUTS):
        over = engine.prompt_tokens(messages) - most
        if over <= 0 or budget <= least:  # each candidate keeps a token, whatever the problem leaves
            break
        budget = max(min(most - rest, budget - max(over, least)), least)
        messages, cut = within(budget)
    return messages, cut


def _drawn_with(told: Sequence[tuple[str, dict[str, Any]]]) -> dict[str, Any]:
    """Return what samples were drawn with, each with its finish reason; all that it was, where it was not the same."""
    counted_by = sorted({str(beside["counted_by"]) for _, beside in told if "counted_by" in beside})
    contexts = [beside["context"] for reason, beside in told if reason == UNASKED and "context" in beside]
    notes: dict[str, set[str]] = {}
    for _, beside in told:
        for name, value in beside.get("notes", {}).items():
            notes.setdefault(name, set()).add(str(value))
    found = {
        "context": max(contexts, default=None),
        "counted_by": " and ".join(counted_by),
        "notes": {name: "; ".join(sorted(values)) for name, values in sorted(notes.items())},
    }
    return {name: value for name, value in found.items() if value}
