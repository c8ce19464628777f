"""Checks of samples of any kind: a pool, refinements, what an aggregation asked for, what a teacher wrote."""

import dagster as dg

from assets import quality
from assets.checking import ERROR, Check, CheckedArtifact, judged, within
from assets.refusals import missing_samples


def samples_complete(artifact: CheckedArtifact) -> dg.AssetCheckResult:
    """Every prompt has the samples that the experiment asks for."""
    missing = missing_samples(artifact.wanted, artifact.store, artifact.key)
    return judged(
        not missing,
        f"{len(missing):,} of {len(artifact.wanted):,} samples that the experiment asks for are missing",
        "none may be",
        f"materialize {artifact.key} again, only what is missing is drawn",
        ERROR,
        {"wanted": len(artifact.wanted), "missing": len(missing), "such_as": missing[: quality.WORST]},
    )


def few_truncated(artifact: CheckedArtifact) -> dg.AssetCheckResult:
    """Few samples are cut off by the token limit."""
    share = quality.truncated(artifact.samples("finish_reason"), artifact.id_column)
    return within(artifact, "most_truncated", "are cut off by the token limit", share, advice=_more_tokens(artifact))


def few_unasked(artifact: CheckedArtifact) -> dg.AssetCheckResult:
    """Few samples were never asked for: their prompt leaves no room in the context, or the server refused it."""
    share = quality.unasked(artifact.samples("finish_reason"), artifact.id_column)
    advice = "serve the model with a longer context, or lower candidate_tokens"
    return within(artifact, "most_unasked", "could not be asked for", share, advice=advice)


def thinking_closed(artifact: CheckedArtifact) -> dg.AssetCheckResult:
    """The thinking of few samples never ends: what follows it is the candidate. A model that does not think passes."""
    end = artifact.thinking_end
    texts = ["text"] if end else []  # long, and read for nothing where no model thinks
    share = quality.unclosed(artifact.samples(*texts), artifact.id_column, end)
    what = "have thinking that never ends" + ("" if end else " (the model has no thinking_end, so it does not think)")
    return within(artifact, "most_unclosed", what, share, advice=_more_tokens(artifact))


def few_repeated(artifact: CheckedArtifact) -> dg.AssetCheckResult:
    """Few samples have the text of an earlier one of their prompt. At temperature 0 all do, and that is allowed."""
    share = quality.repeated(artifact.samples("prompt_id", "text", "finish_reason"))
    what, temperature = "have the text of an earlier one of their prompt", _rollout(artifact)["temperature"]
    result = within(artifact, "most_repeated", what, share, advice=f"raise the temperature, {temperature:g} now")
    if temperature:
        return result
    return result._replace(passed=True, description=f"{share} {what}: all may be at temperature 0, which is greedy")


def _more_tokens(artifact: CheckedArtifact) -> str:
    return f"raise max_new_tokens, {_rollout(artifact)['max_new_tokens']:,} now"


def _rollout(artifact: CheckedArtifact) -> dict:
    return artifact.manifest.settings["rollout"]


HOW_DRAWN: list[Check] = [few_unasked, few_truncated, thinking_closed]
REFINED: list[Check] = [samples_complete, *HOW_DRAWN]
DRAWN: list[Check] = [*REFINED, few_repeated]
