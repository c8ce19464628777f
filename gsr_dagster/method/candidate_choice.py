r"""Picking one of the candidates instead of writing a new answer: two prompts, and reading the choice.

>>> chosen_candidate("The second holds up. \\boxed{2}", k=4)
1
>>> chosen_candidate("Both are right: \\boxed{1} or \\boxed{3}.", k=4) is None
True
"""

import re
from collections.abc import Sequence

from gsr_dagster.method.answers import final_answer
from gsr_dagster.method.prompting.prompts import Message

# Part of every fingerprint of a choice: change it with the wording, and new choices are drawn.
SELECTION_VERSION = "1"

JUDGE_ROLE = "You are a careful judge of solutions. You are given a problem and {k} numbered responses to it."
JUDGE_RULES = """\
Check each response step by step: where does its reasoning hold, and where does it fail? \
Compare those that disagree, and pick the one response whose final answer you trust most. Write no solution of your own."""

AGREEMENT_ROLE = "You are given a problem and {k} numbered responses to it."
AGREEMENT_RULES = """\
See what each response concludes, and which of them conclude the same. \
Pick the one response that most of the others agree with. Do not solve the problem again."""

CHOICE_FORM = """\
End with the number of the response you pick, 1 to {k}, alone in a box: \\boxed{{N}}, where N is that number. \
Put nothing else in a box, not even the answer to the problem."""


def selection_messages(problem: str, summaries: Sequence[str]) -> list[Message]:
    """Return the chat that asks for the most trustworthy candidate, after GenSelect."""
    return _choice(JUDGE_ROLE, JUDGE_RULES, problem, summaries)


def consistency_messages(problem: str, summaries: Sequence[str]) -> list[Message]:
    """Return the chat that asks for the most consistent candidate, after universal self-consistency (arXiv 2311.17311)."""
    return _choice(AGREEMENT_ROLE, AGREEMENT_RULES, problem, summaries)


def chosen_candidate(summary: str | None, k: int) -> int | None:
    """Return the index, 0..k-1, of the candidate that a judge's summary picks, None where it names no single one.

    The final answer must hold one whole number and it must be 1..k.
    """
    numbers = re.findall(r"[-+]?\d+", final_answer(summary) or "")
    if len(numbers) != 1 or len(numbers[0]) > len(str(k)):
        return None
    return int(numbers[0]) - 1 if 1 <= int(numbers[0]) <= k else None


def _choice(role: str, rules: str, problem: str, summaries: Sequence[str]) -> list[Message]:
    k = len(summaries)
    responses = [f"Response {number}:\n{text}" for number, text in enumerate(summaries, start=1)]
    parts = [role.format(k=k), rules, f"Problem:\n{problem}", *responses, CHOICE_FORM.format(k=k)]
    return [{"role": "user", "content": "\n\n".join(parts)}]
