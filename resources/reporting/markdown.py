r"""Texts of strangers in Markdown: names, sources and prompts are shown as they are, and change nothing around them.

>>> plain("a_b|<c>\n# d")
'a\\_b\\|\\<c\\> \\# d'
>>> code("a`b")
'`` a`b ``'
"""

import re

from resources.texts import printable

MARKS = re.compile(r"([\\`*_\[\]<>|#~&!$])")
# A web address or an @name would become a link.
LINKING = re.compile(r"(?<=[A-Za-z])(:)(?=//)|(@)|(?<=www)(\.)")


def plain(text: object) -> str:
    """Return a text on one line, with all that Markdown or HTML would take as a mark written as itself."""
    line = " ".join(printable(str(text)).split())
    return LINKING.sub(r"\\\g<0>", MARKS.sub(r"\\\1", line))


def code(text: object) -> str:
    """Return a text on one line as a span of code; within a table use ``plain``."""
    line = " ".join(printable(str(text)).split()) or " "
    ticks = "`" * (_longest_run(line) + 1)
    return f"{ticks} {line} {ticks}" if "`" in line else f"{ticks}{line}{ticks}"


def fenced(text: str) -> str:
    """Return a text as a block of code, just as it is: the fence is longer than any run of backticks in it."""
    fence = "`" * max(3, _longest_run(text) + 1)
    return f"{fence}text\n{text}\n{fence}"


def _longest_run(text: str) -> int:
    return max(map(len, re.findall("`+", text)), default=0)
