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

from gsr_dagster.method.prompts import Message, direct_messages, refinement_messages

CUT = "… "
NO_ANSWER = "(no answer)"


def unexpected_text(
    messages: Sequence[Message],
    problem: str,
    examples: Sequence[tuple[str, str]] = (),
    summaries: Sequence[str | None] | None = None,
) -> str:
    """Return the text of a chat that nothing accounts for, "" where all of it is accounted for.

    ``summaries`` are those of the candidates shown, in their order, None for a direct
    chat. A candidate may have lost its head to the token budget.
    """
    if summaries is None:
        return _changed(_joined(messages), _joined(direct_messages(problem, examples)))
    chat, instruction = _joined(messages), _joined(refinement_messages(problem, []))
    if not chat.startswith(instruction):
        head, *_ = chat.split(_header(1), 1)
        return _changed(head, instruction)
    rest = chat.removeprefix(instruction)
    starts = [0]  # where the next header may stand: a candidate may hold one itself
    for number, summary in enumerate(summaries, start=1):
        header, following = _header(number), _header(number + 1)
        bodies = [start + len(header) for start in starts if rest.startswith(header, start)]
        if not bodies:
            return rest[starts[0] :]
        last = number == len(summaries)
        spans = [(body, end) for body in bodies for end in ([len(rest)] if last else _places(rest, following, body))]
        starts = sorted({end for body, end in spans if _is_shown(rest[body:end], summary)})
        if not starts:
            return rest[bodies[0] :]  # where it ends is not known: a candidate may hold a header itself
    return rest[starts[0] :]


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


def _header(number: int) -> str:
    return f"\n\nCandidate Response {number}:\n"


def _joined(messages: Sequence[Message]) -> str:
    """Return a chat as one text. A chat of one turn is its content; more turns are told apart by their roles."""
    if len(messages) == 1 and messages[0]["role"] == "user":
        return messages[0]["content"]
    return "\n\n".join(f"<{message['role']}>\n{message['content']}" for message in messages)
