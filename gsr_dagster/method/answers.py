"""From a sampled text to its answer.

>>> final_answer("Adding up gives \\\\boxed{\\\\frac{1}{2}}.")
'\\\\frac{1}{2}'
"""

import re
from itertools import islice
from typing import NamedTuple

from gsr_dagster.method.answer_phrases import NUMBER, closing_answer, said_answers, said_choices
from gsr_dagster.method.choices import closing_choice, letters_named

# Here and below `*+` gives nothing back: each pattern takes time in proportion to the text, whatever a model wrote.
BOX = re.compile(r"\\(?:boxed|fbox)")
BRACES = re.compile(r"\\(?:boxed|fbox)\s*+(?:\{|(?P<number>[-+]?\d(?:[\d,/]|\.(?=\d))*+))|\\[{}]|[{}]")
BETWEEN_BOXES = re.compile(
    r"(?:[\s$.]|\\[()\[\];,]|\\q?quad\b)*+"
    r"(?:,|,?\s*(?:and|or)\b|,?\s*\\text\{\s*(?:and|or)\s*\})"
    r"(?:[\s$]|\\[()\[\];,]|\\q?quad\b)*"
)
STYLE = r"\\(?:text\w*|math\w*|mbox|hbox|boldsymbol|bm|underline)\s*\{"
# "ANSWER: " and the like in a box, in \text{...} or plain; `closed` where nothing else stands in the \text{...}.
LABEL = re.compile(
    rf"[\s*]*+(?P<style>{STYLE})?[\s*]*+(?:the\s++)?(?:(?:final|correct|your)\s++)?answers?\b\s*+"
    r"(?P<link>is\b\s*+[:：]?|[:：=])?[\s*]*+(?P<closed>\})?\s*+(?P<later>is\b\s*+[:：]?|[:：=])?[\s*]*+",
    re.IGNORECASE,
)
BLANK = r"[\s$.…?_~*]|\\[,;:! ]|\\(?:q?quad|[lc]?dots|square)\b|\\[hv]?phantom\{[^{}]*\}"
PLACE = r"(?:(?:put|insert|write|the|your|my|final)\s+)*answer\s+(?:goes\s+)?here"
NOTHING = re.compile(rf"(?:{BLANK}|{STYLE}(?:{BLANK}|{PLACE})*+\}})*+|{PLACE}", re.IGNORECASE)

# A sentence that calls a choice right: "(C) is the correct answer."
CALLED_RIGHT = re.compile(
    r"(?<![\w'’\\])\(?([A-Z])\)?[\s*}$\"”.]*+(?:is|must\s+be)\s+(?:therefore\s+|thus\s+)?(?:the\s+)?(?:correct|right|best)\b"
)
PLAIN_WORDS = re.compile(rf"{STYLE}|[*{{}}$]")
MOST_LOOKED_AT = 100  # boxes or phrases that may hold a letter, from the last


class Box(NamedTuple):
    r"""Where a ``\boxed{...}`` begins, and where its content begins and ends."""

    start: int
    begin: int
    end: int


def final_answer(summary: str | None) -> str | None:
    r"""Return the answer a summary ends with, or None where there is none.

    The last closed box that holds something counts, joined by commas with those right before
    it that only commas, "and" or "or" divide from it. Without one, what the last phrase such
    as "the answer is" or "####" announces; without that, the number or formula of a closing
    sentence ("So the number of miles is 36." does, a text that was cut off does not).
    """
    if not summary:
        return None
    boxed = last_boxes(summary)
    return ", ".join(dict.fromkeys(boxed)) or next(said_answers(summary), None) or closing_answer(summary)


def answer_of(summary: str | None, domain: str) -> str | None:
    """Return the answer a summary ends with, as it is read in the problem's domain."""
    return final_choice(summary) if domain == "multiple_choice" else final_answer(summary)


def final_choice(summary: str | None) -> str | None:
    """Return the choice a summary ends with, or None where there is no answer.

    That is the last box where it holds a letter. A box that holds none yields to the last
    letter that is said, or that an earlier box holds; a text that names no letter keeps its answer.
    """
    if not summary:
        return None
    boxed = ", ".join(dict.fromkeys(last_boxes(summary)))
    if boxed and letters_named(boxed):
        return boxed
    return _last_named(summary) or closing_choice(summary) or final_answer(summary)


def _last_named(text: str) -> str | None:
    """Return what names a letter last: a box, a phrase, or a sentence such as "C is correct"."""
    boxes = ((begin, text[begin:end].strip()) for _, begin, end in reversed(closed_boxes(text)))
    right = ((found.start(), found[1]) for found in reversed(list(CALLED_RIGHT.finditer(text))))
    last = [
        next((place for place in islice(places, MOST_LOOKED_AT) if letters_named(place[1])), None)
        for places in (boxes, said_choices(text), right)
    ]
    return max(filter(None, last), default=(0, None))[1]


def last_boxes(text: str) -> list[str]:
    """Return what the last box holds, and the boxes that belong to it, in the order of the text."""
    last: list[str] = []
    following = None
    for box in reversed(closed_boxes(text)):
        if following and not BETWEEN_BOXES.fullmatch(text, box.end + 1, following.start):
            break
        if content := box_content(text, box):
            last.append(content)
            following = box
    return last[::-1]


def closed_boxes(text: str) -> list[Box]:
    r"""Return every ``\boxed{...}`` and ``\fbox{...}`` whose braces close, by place; of boxes in boxes the inner ones.

    One pass from the first box on, whatever the number of boxes that never close.
    """
    boxes: list[Box] = []
    opened: list[tuple[int, int]] = []
    first = BOX.search(text)
    for token in BRACES.finditer(text, first.start()) if first else ():
        if token["number"]:  # \boxed 42
            boxes.append(Box(token.start(), token.start("number"), token.end()))
        elif token[0][-1] == "{" and token[0] != "\\{":
            opened.append((token.start(), token.end()))
        elif token[0] == "}" and opened:
            start, begin = opened.pop()
            if text[start] == "\\" and not (boxes and boxes[-1].start > start):
                boxes.append(Box(start, begin, token.start()))
    return boxes


def box_content(text: str, box: Box) -> str:
    """Return what a box holds, without "ANSWER:" before it; "" where it holds only space, dots or the word "answer"."""
    content = text[box.begin : box.end].strip()
    label = LABEL.match(content)
    if label and (label["link"] or label["closed"] or label["later"] or label.end() == len(content)):
        rest = content[label.end() :].strip()
        opened = label["style"] and not label["closed"]
        number = re.fullmatch(rf"({NUMBER})\s*\}}", rest) if opened else None
        content = number[1] if number else label["style"] + rest if opened else rest
    return "" if NOTHING.fullmatch(content) else content


def truth_assignment(answer: str) -> frozenset[tuple[str, str]]:
    """Return who is said to be what, of an answer about knights and knaves (or heroes and villains).

    "a knight/knave" says nothing. Bold and LaTeX around a name or a word are nothing to it.

    >>> sorted(truth_assignment("Zoey is a knight, and Riley is a knave."))
    [('riley', 'knave'), ('zoey', 'knight')]
    """
    return frozenset(re.findall(r"\b(\w++) is an? (\w+)\b(?!/)", PLAIN_WORDS.sub("", answer.lower())))
