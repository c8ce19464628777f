r"""An answer as a text: what only decorates it, and the parts of a list.

>>> clean(r"\(10{,}000\)"), clean("**73**")
('10,000', '73')
>>> split_list("(1,2), x = 3 and y")
['(1,2)', 'x = 3', 'y']
"""

import re

# What some put before their answer, in the box too.
ANNOUNCED = re.compile(
    r"\A\s*(?:\\text\s*\{\s*)?(?:the\s+)?(?:final\s+)?answer\s*(?:is\b)?\s*[:=]?\s*\}?\s*(?=\S)", re.IGNORECASE
)
# A choice's letter before its value.
CHOICE = re.compile(r"\A\s*\\(?:text|textbf|mathrm|mathbf)\s*\{\s*\(?[A-Z]\)\s*\}\s*(?:\\[ ,;:]\s*)*(?=[^\s.])")
THOUSANDS = re.compile(r"(?<![\d,.])[1-9]\d{0,2}(?:,\d{3})+(?![\d,])")
GROUPED = re.compile(r"[+-]?\d{1,3}(?:[ ~]\d{3})+(?:\.\d+)?")
# Markdown's bold around all of it, or one end of it: a lone star at the end is a product that breaks off.
BOLD = re.compile(r"\A\*{1,3}(.*?)\*{0,3}\Z|\A(.*?)\*{2,3}\Z", re.DOTALL)
OPENING, CLOSING = "{[(", "}])"


def clean(text: str) -> str:
    """Return an answer without what only decorates it: Markdown's bold, dollars, `{,}` and a full stop."""
    text = re.sub(r"\\?\$|(?<=\d),\\!\s*(?=\d{3})|\\!|\\,(?=\s*\d{3})", "", text).replace("{,}", ",").strip()
    text = re.sub(r"(?<=\d)\.{3}", "…", CHOICE.sub("", ANNOUNCED.sub("", text)))
    text = re.sub(r"^\\[(\[](.*)\\[)\]]$", r"\1", text, flags=re.DOTALL)
    text = BOLD.sub(r"\1\2", text.strip().strip("`")).rstrip(".\\,;").strip()
    return re.sub(r"(?<=\d)[ ~](?=\d{3}\b)", "", text) if GROUPED.fullmatch(text) else text


def split_list(text: str) -> list[str]:
    """Return the parts of a list at its outermost commas, semicolons, `and` and `or`.

    >>> split_list("(1,2), x = 3 and y")
    ['(1,2)', 'x = 3', 'y']
    """
    depth, parts, begin = 0, [], 0
    separators = re.compile(r"[,;]|\\text\{\s*(?:and|or)\s*\}|\b(?:and|or)\b")
    for found in re.finditer(rf"[{re.escape(OPENING + CLOSING)}]|{separators.pattern}", text):
        token = found[0]
        if token in OPENING:
            depth += 1
        elif token in CLOSING:
            depth -= 1
        elif depth == 0:
            parts.append(text[begin : found.start()])
            begin = found.end()
    return [part.strip() for part in [*parts, text[begin:]] if part.strip()]


def is_closed(text: str) -> bool:
    """Return whether no bracket in the text closes before it opens: the ones around it belong together."""
    depth = 0
    for character in text:
        depth += (character in OPENING) - (character in CLOSING)
        if depth < 0:
            return False
    return depth == 0


def without_thousands(text: str) -> str:
    """Return a text with `1,234` as 1234. Inside brackets a comma divides: `(1,234)` is a pair.

    >>> without_thousands("x = 1,234"), without_thousands("(1,234)"), without_thousands("234,1")
    ('x = 1234', '(1,234)', '234,1')
    """

    def joined(found: re.Match[str]) -> str:
        before = text[: found.start()].replace("\\{", "(").replace("\\}", ")")
        inside = sum(character in "([" for character in before) > sum(character in ")]" for character in before)
        return found[0] if inside else found[0].replace(",", "")

    return THOUSANDS.sub(joined, text) if "," in text else text
