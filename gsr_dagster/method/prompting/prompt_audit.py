r"""What a training row's chat holds beside its instruction, its problem and the candidates shown: where a gold can leak.

>>> unexpected_text(direct_messages("What is 3 + 4?"), "What is 3 + 4?")
''
>>> unexpected_text(direct_messages("What is 3 + 4? (7)"), "What is 3 + 4?")
' (7)'
>>> holds("the answer is 17.", "7")
False
"""

import re
import unicodedata
from collections.abc import Sequence

from gsr_dagster.method.prompting.prompts import (
    DirectPrompt,
    Message,
    RefinementPrompt,
    direct_messages,
    direct_request,
    refinement_request,
)

CUT = "… "
NO_ANSWER = "(no answer)"
# So much of the text before the first candidate says where the instruction ends: "Candidate Response 1:" on its own line.
HEADER = 24


def unexpected_text(
    messages: Sequence[Message],
    problem: str,
    examples: Sequence[tuple[str, str]] = (),
    summaries: Sequence[str | None] | None = None,
    direct: DirectPrompt = direct_request,
    refinement: RefinementPrompt = refinement_request,
) -> str:
    """Return the text of a chat that nothing accounts for, "" where all of it is accounted for.

    ``summaries`` are those of the candidates shown, in their order, None for a direct
    chat. A candidate may have lost its head to the token budget. ``direct`` and ``refinement``
    word the prompts.
    """
    chat = _joined(messages)
    if summaries is None:
        return _changed(chat, _joined(direct_messages(problem, examples, direct)))
    before, *behind = _around_candidates(refinement, problem, len(summaries))
    if not chat.startswith(before):
        header = before[-HEADER:]
        head = header.join(chat.split(header)[: before.count(header)])
        return _changed(head, before.removesuffix(header))
    starts = [len(before)]  # where the candidate may begin: the one before may hold what stands between them
    for number, (summary, following) in enumerate(zip(summaries, behind, strict=True), start=1):
        last = [len(chat) - len(following)] if chat.endswith(following) else []
        ends = {
            end
            for start in starts
            for end in (last if number == len(summaries) else _places(chat, following, start))
            if start <= end and _is_shown(chat[start:end], summary)
        }
        if not ends:
            return chat[starts[0] :]
        starts = [end + len(following) for end in sorted(ends)]
    return ""


def holds(text: str, gold: str) -> bool:
    """Return whether a text holds a gold, not as a part of a longer word or number."""
    return re.search(rf"(?<!\w){re.escape(gold.strip())}(?!\w)", text) is not None


def _is_shown(text: str, summary: str | None) -> bool:
    """Return whether a text is a candidate's summary: whole, or its end as a tokenizer writes it back."""
    whole = summary or NO_ANSWER
    return text == whole or (text.startswith(CUT) and _letters(whole).endswith(_letters(text)))


def _letters(text: str) -> str:
    return "".join(character for character in unicodedata.normalize("NFC", text) if character.isalnum())


def _changed(found: str, expected: str) -> str:
    """Return what stands in ``found`` between all that it begins and ends with as expected; "" where they are equal."""
    if found == expected:
        return ""
    most = min(len(found), len(expected))
    begin = next((i for i in range(most) if found[i] != expected[i]), most)
    end = next((i for i in range(most - begin) if found[-1 - i] != expected[-1 - i]), most - begin)
    return found[begin : len(found) - end] or found


def _places(text: str, part: str, start: int) -> list[int]:
    return [match.start() for match in re.compile(re.escape(part)).finditer(text, start)]


def _around_candidates(ask: RefinementPrompt, problem: str, number: int) -> list[str]:
    """Return what a prompt holds before its first candidate, between any two, and behind the last."""
    marks = [f"\0{index}\0" for index in range(number)]
    return re.split("|".join(marks), ask(problem, marks))


def _joined(messages: Sequence[Message]) -> str:
    """Return a chat as one text. A chat of one turn is its content; more turns are told apart by their roles."""
    if len(messages) == 1 and messages[0]["role"] == "user":
        return messages[0]["content"]
    return "\n\n".join(f"<{message['role']}>\n{message['content']}" for message in messages)
