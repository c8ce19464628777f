"""Checks of samples of any kind: a pool, refinements, what a teacher wrote."""

import dagster as dg

from assets import quality
from assets.checking import Check, CheckedArtifact, within, wrong
from assets.refusals import missing_samples


def samples_complete(artifact: CheckedArtifact) -> dg.AssetCheckResult:
    """Every prompt has the samples that the experiment asks for."""
    missing = missing_samples(artifact.wanted, artifact.store, artifact.key)
    text = f"{len(missing)} of {len(artifact.wanted)} samples are missing: materialize {artifact.key} again"
    counts = {"wanted": len(artifact.wanted), "missing": len(missing)}
    return wrong(text if missing else None, **counts, such_as=missing[: quality.WORST])


def few_truncated(artifact: CheckedArtifact) -> dg.AssetCheckResult:
    """Few samples are cut off by the token limit."""
    share = quality.truncated(artifact.samples("finish_reason"), artifact.id_column)
    return within(artifact, "most_truncated", {"cut off by the token limit": share}, "raise max_new_tokens")


def few_unasked(artifact: CheckedArtifact) -> dg.AssetCheckResult:
    """Few samples were never asked for: their prompt leaves no room in the context, or the server refused it."""
    share = quality.unasked(artifact.samples("finish_reason"), artifact.id_column)
    advice = "serve the model with a longer context, or lower candidate_tokens"
    return within(artifact, "most_unasked", {"that could not be asked for": share}, advice)


def thinking_closed(artifact: CheckedArtifact) -> dg.AssetCheckResult:
    """The thinking of few samples never ends: what follows it is the candidate. A model that does not think passes."""
    share = quality.unclosed(artifact.samples("text"), artifact.id_column, artifact.thinking_end)
    return within(artifact, "most_unclosed", {"with thinking that never ends": share}, "raise max_new_tokens")


def few_repeated(artifact: CheckedArtifact) -> dg.AssetCheckResult:
    """Few samples have the text of an earlier one of their prompt. At temperature 0 all do, and that is allowed."""
    share = quality.repeated(artifact.samples("prompt_id", "text", "finish_reason"))
    result = within(artifact, "most_repeated", {"with the text of an earlier one": share}, "raise the temperature")
    greedy = artifact.manifest.settings["rollout"]["temperature"] == 0
    return result._replace(passed=True, description="greedy decoding repeats itself") if greedy else result


DRAWN: list[Check] = [samples_complete, few_unasked, few_truncated, thinking_closed, few_repeated]
