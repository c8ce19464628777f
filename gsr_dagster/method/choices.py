r"""Answers to multiple choice: the letter, in whatever dress a model gives it.

>>> choice_letter("(b) 12"), choice_letter("\\mathrm{C}"), choice_letter("I think B"), choice_letter("17")
('B', 'C', 'B', None)
"""

import re
import unicodedata

DRESS = re.compile(
    r"\\(?:text)?color\s*(?:\[[^\]]*\])?\s*\{[^{}]*\}"
    r"|\\(?:text\w*|math[a-z]\w*|boldsymbol|bm|boxed|fbox|operatorname|mbox|hbox|underline|left|right|q?quad|displaystyle"
    r"|large|Large|bf|rm|it)(?![a-zA-Z])\*?|\\[()\[\]{},;:! ]|[{}$*`~]|__"
)
LONGEST_CLOSING_LINE = 60
LONGEST_CHOICE = 2000  # of a text, what is searched for its letter
# "I think" and "A triangle" name no letter.
LONE = r"(?:[B-HJ-Z](?![\w'’^])|I(?![\w'’^])(?!\s+[a-z])|A(?![\w'’^])(?!\s+(?!because|since|as|and|or|is)[a-z]))"
BEGINS = re.compile(
    rf"[\s(\[]*+(?:(?P<ends>[A-Za-z])\s*(?:[)\].:,;]++(?![a-z])|\Z)|(?P<dashed>[A-Z])\s+[-–—]\s|(?P<lone>{LONE})(?!\s*[-+=*/^<>]))"
)
MARKED = re.compile(
    rf"\b(?i:option|choice|letter|statement|answer)\b\s*+(?i:is\b)?\s*+[:=]?\s*+[\"'“‘]?(?:[(\[]\s*([A-Za-z])\s*[)\]]|({LONE}|[a-z](?=\W*\Z)))"
)
BRACKETED = re.compile(r"(?<!\w)\(\s*([A-Z])\s*\)")
IN_PROSE = re.compile(rf"(?<![\w'’\\])({LONE})")
ANOTHER = re.compile(
    rf"[\s)\]]*+(?:[,;/&+]|\band\b|\bor\b)[\s(\[]*(?:and\b|or\b)?[\s(\[]*(?P<joined>{LONE}|[a-z](?=\)|\W*\Z))"
    rf"|[\s)\]]*+[(\[](?P<bracketed>[A-Za-z])[)\]]|\s+(?P<last>[A-Z])\W*\Z"
)
DENIED = re.compile(r"\b(?:not|than)\s+(?:(?:option|choice)\s+)?\(?[A-Za-z]\)?(?!\w)")
ONLY_LETTER = re.compile(r"[(\[\s]*(?:(?i:option|choice)\s+\(?)?[A-Z][)\].\s]*")


def choice_letter(answer: str) -> str | None:
    r"""Return the letter A to Z that a multiple-choice answer names, None where it names none or several.

    >>> choice_letter("\\text{Option C}"), choice_letter("Both"), choice_letter("A and B")
    ('C', None, None)
    """
    letters = letters_named(answer)
    return letters[0] if len(letters) == 1 else None


def letters_named(answer: str) -> list[str]:
    """Return the letters that an answer names: the one it begins with, else one called an option, else any alone."""
    text = _plain(answer)
    if begins := BEGINS.match(text):
        place = begins.lastgroup or 0
        another = ANOTHER.match(text, begins.end(place))
        found = [begins[place], *([another[another.lastgroup or 0]] if another else [])]
        return sorted({letter.upper() for letter in found})
    text = DENIED.sub(" ", text)
    patterns = [MARKED, BRACKETED] if re.search(r"[\d=\\]", text) else [MARKED, BRACKETED, IN_PROSE]
    for pattern in patterns:
        if letters := {next(filter(None, found.groups())).upper() for found in pattern.finditer(text)}:
            return sorted(letters)
    return []


def _plain(answer: str) -> str:
    """Return the text without LaTeX's and Markdown's dress, and without quotes around it."""
    text = DRESS.sub(" ", unicodedata.normalize("NFKC", answer[:LONGEST_CHOICE])).strip()
    return text.strip("\"'“”‘’").strip()


def closing_choice(text: str) -> str | None:
    """Return the last line where it is a letter alone, or a short sentence that names one."""
    text = text.rstrip()
    line = text.rpartition("\n")[2][-LONGEST_CHOICE:].strip()
    short = len(line) <= LONGEST_CLOSING_LINE and (line.endswith((".", "!")) or line == text)
    return line if ONLY_LETTER.fullmatch(_plain(line)) or (short and choice_letter(line)) else None
