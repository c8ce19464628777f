"""Drawing samples into an artifact, and the chats that show candidates to a model."""

from collections import Counter
from collections.abc import Callable, Sequence

from assets.materializing import ArtifactContents
from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.experiment.settings import RolloutSettings
from gsr_dagster.method.prompts import Message, fit_candidates, refinement_messages
from gsr_dagster.method.rows import Row
from resources.engines.base import Engine
from resources.engines.sample_log import Prompt, complete_samples
from resources.store.artifacts import ArtifactStore
from resources.store.manifests import Recipe


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
    counts = Counter(samples=0, generated_tokens=0, truncated=0)
    for row in store.read_shards(recipe.key, recipe.fingerprint, shards, "generated_tokens", "finish_reason"):
        cut_off = row["finish_reason"] == "length"
        counts.update(samples=1, generated_tokens=row["generated_tokens"], truncated=cut_off)
    return ArtifactContents(shards=shards, summary={**counts, **counted})


def refinement_chat(
    experiment: Experiment, engine: Engine, problem: str, members: Sequence[Row]
) -> tuple[list[Message], int]:
    """Return the chat that shows graded candidates in their order, and how many were shortened to the token budget."""
    budget = experiment.evaluation.candidate_tokens
    shown, cut = fit_candidates([row["summary"] for row in members], budget, engine.tokenize, engine.detokenize)
    return refinement_messages(problem, shown), cut
