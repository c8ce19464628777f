"""The prompt of a refinement as it was sent. It is not stored: it is written again, and held against its hash."""

from collections.abc import Sequence
from dataclasses import dataclass

from assets.evaluation.evaluation_run import EvaluationRun
from assets.sampling import candidates_chat
from gsr_dagster.method.prompting.prompts import NO_ANSWER, Message, refinement_messages, refinement_turns
from gsr_dagster.method.rows import Row
from resources.engines.base import chat_sha256
from resources.engines.loading import Engines


@dataclass(frozen=True)
class SentPrompt:
    """A prompt's messages, and how many of its candidates were shortened to the token budget."""

    messages: Sequence[Message]
    shortened: int


def sent_prompt(
    run: EvaluationRun, problem: str, summaries: Sequence[str | None], refinement: Row
) -> SentPrompt | None:
    """Return the prompt of a refinement, None where what would be sent today has another hash.

    Candidates that were shortened need the model's tokenizer, and raise what loading it raises.
    """
    ask = run.experiment.prompts.ask_refinement
    before = refinement_turns(run.benchmark.refinements(run.key.is_student), ask)
    whole = [*before, *refinement_messages(problem, [summary or NO_ANSWER for summary in summaries], ask)]
    if chat_sha256(whole) == refinement["prompt_sha256"]:
        return SentPrompt(whole, 0)
    engine, rollout = run.engine(Engines())(), run.rollout("refinement")
    messages, shortened = candidates_chat(run.experiment, engine, rollout, problem, summaries, before=before)
    return SentPrompt(messages, shortened) if chat_sha256(messages) == refinement["prompt_sha256"] else None
