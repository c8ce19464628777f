"""The two prompts, and what of a candidate is shown in the second.

Messages are chat messages: ``[{"role": "user", "content": ...}, ...]``.
"""

from collections.abc import Callable, Sequence

Message = dict[str, str]
# The text that asks for a solution of a problem, and the one that shows a problem's candidates and asks for a better one.
DirectPrompt = Callable[[str], str]
RefinementPrompt = Callable[[str, Sequence[str]], str]

# Part of every fingerprint: change it with the wording, and new samples are drawn.
PROMPT_VERSION = "1"

DIRECT_INSTRUCTION = "Please think step by step, and put your final answer in \\boxed{}."

REFINE_ROLE = "You are an expert at solving problems, and you are given several attempts at one problem."
REFINE_RULES = """\
Each attempt may be correct, partly correct or wrong. First see how they relate to the problem. \
Then write a new and better solution.
If all are wrong, solve the problem from scratch. Do not copy: use only the insights that hold."""
CUT_MARK = "… "
NO_ANSWER = "(no answer)"


def direct_request(problem: str) -> str:
    """Return the problem with the instruction to think step by step and box the answer."""
    return f"{problem}\n\n{DIRECT_INSTRUCTION}"


def refinement_request(problem: str, summaries: Sequence[str]) -> str:
    """Return the problem with the candidates' summaries and the instruction to write a better solution."""
    candidates = [f"Candidate Response {i}:\n{text}" for i, text in enumerate(summaries, start=1)]
    return "\n\n".join([REFINE_ROLE, REFINE_RULES, direct_request(problem), *candidates])


def direct_messages(
    problem: str, worked_examples: Sequence[tuple[str, str]] = (), ask: DirectPrompt = direct_request
) -> list[Message]:
    """Return the chat that asks for a direct solution, after (problem, solution) examples."""
    messages = []
    for example, solution in worked_examples:
        messages += [_user(ask(example)), {"role": "assistant", "content": solution}]
    return [*messages, _user(ask(problem))]


def refinement_messages(
    problem: str, summaries: Sequence[str], ask: RefinementPrompt = refinement_request
) -> list[Message]:
    """Return the chat that shows the candidates' summaries and asks for a better solution."""
    return [_user(ask(problem, summaries))]


def refinement_turns(
    worked_refinements: Sequence[tuple[str, Sequence[str], str]], ask: RefinementPrompt = refinement_request
) -> list[Message]:
    """Return the turns of (problem, candidates, refinement) examples, to stand before a refinement prompt."""
    turns = []
    for problem, candidates, refinement in worked_refinements:
        turns += [_user(ask(problem, candidates)), {"role": "assistant", "content": refinement}]
    return turns


def summarise(text: str, thinking_end: str | None) -> str | None:
    """Return what follows the model's thinking, or None where the thinking never ends.

    ``thinking_end`` is the model's own end marker (``</think>``), None for a model
    that does not think before it answers: its whole text is the summary.
    """
    if thinking_end is None:
        return text.strip()
    _, marker, after = text.rpartition(thinking_end)
    return after.strip() if marker else None


def fit_candidates(
    summaries: Sequence[str | None],
    budget: int,
    tokenize: Callable[[str], list[int]],
    detokenize: Callable[[list[int]], str],
) -> tuple[list[str], int]:
    """Return the summaries within an equal share each of ``budget`` tokens, and how many were cut.

    A candidate over its share loses the head of its summary, since the answer stands
    at the end. A candidate without a summary is shown as "(no answer)".
    """
    share = budget // max(len(summaries), 1)
    shown, shortened = [], 0
    for summary in summaries:
        tokens = tokenize(summary) if summary else []
        if len(tokens) > share:
            shown.append(CUT_MARK + detokenize(tokens[len(tokens) - share :]).lstrip())
            shortened += 1
        else:
            shown.append(summary or NO_ANSWER)
    return shown, shortened


def _user(content: str) -> Message:
    return {"role": "user", "content": content}
