"""What a rollout is worth: 1 where the grader calls its answer right, 0 for any other.

Only what the model wrote is graded, by the same steps as in an evaluation: what stands after its thinking, the
answer in it, and the verdict of the grader's processes, which are killed where they hang. A box in the prompt is none
of the model's. No answer, one that cannot be read and one that timed out are worth 0, and counted.
"""

from collections.abc import Callable, Sequence
from typing import Any

from gsr_dagster.method.answers import answer_of
from gsr_dagster.method.prompting.prompts import summarise
from gsr_dagster.method.rows import Row
from resources.engines.chat import Chat
from resources.grading.grader import Grader, Reference
from resources.grading.worker import GAVE_UP


class Rewards:
    """TRL's reward function. ``graded`` are the rollouts of its last call, of this process, in their order."""

    __name__ = "right"

    def __init__(self, grader: Grader, chat: Chat, label: str):
        self.grader, self.chat, self.label = grader, chat, label
        self.graded: list[Row] = []

    def __call__(
        self,
        completion_ids: Sequence[Sequence[int]],
        problem_id: Sequence[str],
        gold: Sequence[str],
        domain: Sequence[str],
        log_metric: Callable[[str, float], None],
        **_: Any,
    ) -> list[float | None]:
        """Return the reward of each rollout."""
        ended = [self.chat.finished(ids, ()) for ids in completion_ids]
        answers = [
            answer_of(summarise(text, self.chat.thinking_end), of)
            for (text, _, _), of in zip(ended, domain, strict=True)
        ]
        references = {name: Reference(*of) for name, *of in zip(problem_id, gold, domain, strict=True)}
        grades = self.grader.grade(self.label, references, list(zip(problem_id, answers, strict=True)))
        self.graded = [
            {
                "text": text,
                "finish_reason": "stop" if by_itself else "length",
                "generated_tokens": tokens,
                "answer": answer,
                "verdict": grade.verdict,
                "reward": float(grade.correct),
            }
            for (text, tokens, by_itself), answer, grade in zip(ended, answers, grades, strict=True)
        ]
        count = len(self.graded) or 1
        log_metric("no_answer", sum(row["verdict"] == "no answer" for row in self.graded) / count)
        log_metric("timed_out", sum(row["verdict"] in GAVE_UP for row in self.graded) / count)
        return [row["reward"] for row in self.graded]
