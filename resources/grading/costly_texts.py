r"""Answers that would cost too much to evaluate, refused by their text alone.

>>> refuse_costly("2^{x^{y^z}}")
Traceback (most recent call last):
resources.grading.costly_texts.UnreadableError: a tower of powers
"""

import re

from resources.grading.answer_texts import CLOSING, OPENING

MOST_CHARACTERS = 1000
MOST_NESTING = 40
MOST_DIGITS = 300
MOST_POWER = 100_000
POWER = re.compile(r"(\d+)\s*(?:\^|\*\*)\s*[{(]?\s*(\d+)\s*(?:(?:\^|\*\*)\s*[{(]?\s*(\d+))?")
FACTORIAL = re.compile(r"\d{5,}\s*!|!\s*[)}\]]*\s*!")
LONG_LOOP = re.compile(r"\\(?:sum|prod).*\d{5}", re.DOTALL)


class UnreadableError(ValueError):
    """An answer that is not read: empty, too long, too deep, or too costly to evaluate."""


def refuse_costly(text: str) -> None:
    """Raise UnreadableError for what costs too much to evaluate; what slips through, the clock stops."""
    if len(text) > MOST_CHARACTERS:
        raise UnreadableError(f"{len(text)} characters, more than {MOST_CHARACTERS}")
    if re.search(rf"\d{{{MOST_DIGITS + 1}}}", text):
        raise UnreadableError(f"a number of more than {MOST_DIGITS} digits")
    depth = 0
    for character in text:
        depth += (character in OPENING) - (character in CLOSING)
        if depth > MOST_NESTING:
            raise UnreadableError(f"nested more than {MOST_NESTING} deep")
    if _storeys(text) > 2:
        raise UnreadableError("a tower of powers")
    for _, power, raised in POWER.findall(text):
        if len(power) > 6 or int(power) ** min(int(raised or 1), 40) > MOST_POWER:
            raise UnreadableError(f"a power over {MOST_POWER}")
    if FACTORIAL.search(text):
        raise UnreadableError("a factorial of a large number")
    if LONG_LOOP.search(text):
        raise UnreadableError("a sum or product of very many terms")


def _storeys(text: str) -> int:
    """Return how many powers stand on top of each other: 1 for x^2, 3 for 2^{3^{4^5}}."""
    highest, stack, height = 0, [], 0
    chain = re.search(r"\^\s*\w+\s*\^\s*\w+\s*\^|\*\*\s*\w+\s*\*\*\s*\w+\s*\*\*", text)
    raised = False
    for character in text:
        if character == "^":
            highest, raised = max(highest, height + 1), True
        elif character in OPENING:
            stack.append(raised)
            height += raised
            raised = False
        elif character in CLOSING and stack:
            height -= stack.pop()
        elif not character.isspace():
            raised = False
    return max(highest, 3 if chain else 0)
