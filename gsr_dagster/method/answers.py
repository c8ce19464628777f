"""From a sampled text to its answer.

>>> final_answer("Adding up gives \\\\boxed{\\\\frac{1}{2}}.")
'\\\\frac{1}{2}'
"""

import re

BOXED = "\\boxed{"
BRACES = re.compile(r"\\boxed\{|\\[{}]|[{}]")
# Here and below `*+` gives nothing back: each pattern takes time in proportion to the text, whatever a model wrote.
BETWEEN_BOXES = re.compile(
    r"(?:[\s$.]|\\[()\[\];,]|\\q?quad\b)*+"
    r"(?:,|,?\s*(?:and|or)\b|,?\s*\\text\{\s*(?:and|or)\s*\})"
    r"(?:[\s$]|\\[()\[\];,]|\\q?quad\b)*"
)
ANSWER_PHRASE = re.compile(
    r"(?:final answer|the answer|answer)\s*+(?:is(?:\s*+:)?|:|=)(?:\s*+(.+)|\n*+[^\S\n]\s*+\Z)", re.IGNORECASE
)
NUMBER_OR_FORMULA = r"\$[^$\n]+\$|\\\([^\n]+?\\\)|[-+]?\d(?:[\d,/]|\.(?=\d))*"
CLOSING_SENTENCE = re.compile(rf"(?:\b(?:is|are|be|equals)|=)\s+(?:\w+\s+)?({NUMBER_OR_FORMULA})[^.\d$=\n]*\.\Z")
LONGEST_CLOSING_SENTENCE = 2000


def final_answer(summary: str | None) -> str | None:
    r"""Return the answer a summary ends with, or None where there is none.

    The last closed ``\boxed{...}`` counts, joined by commas with those right before it
    that only commas, "and" or "or" divide from it. Without one, what follows the last
    "the answer is" in its sentence; without that, the number or formula that a closing
    sentence ends with ("So the number of miles is 36." does, a text that was cut off does not).
    """
    if not summary:
        return None
    boxes = closed_boxes(summary)
    if boxes:
        last = [boxes.pop()]
        while boxes and BETWEEN_BOXES.fullmatch(summary, boxes[-1][1] + 1, last[-1][0] - len(BOXED)):
            last.append(boxes.pop())
        contents = dict.fromkeys(summary[begin:end].strip() for begin, end in reversed(last))
        return ", ".join(filter(None, contents)) or None
    phrases = ANSWER_PHRASE.findall(summary)
    if not phrases:
        text = summary.rstrip()
        phrases = CLOSING_SENTENCE.findall(text, max(len(text) - LONGEST_CLOSING_SENTENCE, 0))
    if not phrases:
        return None
    sentence, *_ = re.split(r"\.(?:\s|$)", phrases[-1])
    return sentence.strip().strip("*").strip(".,").strip() or None


def closed_boxes(text: str) -> list[tuple[int, int]]:
    r"""Return where the content of every ``\boxed{...}`` begins and ends, of those whose braces close, by place.

    One pass, whatever the number of boxes that never close.
    """
    boxes, opened = [], []
    for token in BRACES.finditer(text):
        if token[0] in ("{", BOXED):
            opened.append((token[0] == BOXED, token.end()))
        elif token[0] == "}" and opened:
            is_box, begin = opened.pop()
            if is_box:
                boxes.append((begin, token.start()))
    return sorted(boxes)


def truth_assignment(answer: str) -> frozenset[tuple[str, str]]:
    """Return who is said to be what, of an answer about knights and knaves (or heroes and villains).

    "a knight/knave" says nothing.

    >>> sorted(truth_assignment("Zoey is a knight, and Riley is a knave."))
    [('riley', 'knave'), ('zoey', 'knight')]
    """
    return frozenset(re.findall(r"\b(\w++) is an? (\w+)\b(?!/)", answer.lower()))


def choice_letter(answer: str) -> str | None:
    r"""Return the letter A to Z that a multiple-choice answer begins with or consists of, None without one.

    >>> choice_letter("(b) 12"), choice_letter("\\text{C}"), choice_letter("Both")
    ('B', 'C', None)
    """
    found = re.match(r"(?:\\text\w*\{)?[\s(*]*([A-Za-z])\b(?!')", answer.strip())
    return found[1].upper() if found else None
