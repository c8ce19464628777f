r"""Texts that a model or a stranger wrote: made fit to be stored, and fit to be shown in a terminal.

>>> storable("a\ud800b")
'a�b'
>>> print(printable("\x1b[31mred\u202e"))
\x1b[31mred\u202e
"""

import re

LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def storable(text: str) -> str:
    """Return a text as it is, but for lone surrogates, which become U+FFFD.

    JSON can carry them and UTF-8 cannot, nor Parquet, which is UTF-8. Everything else is kept.
    """
    return LONE_SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text)


def printable(text: str) -> str:
    """Return a text with its invisible characters, but line breaks and tabs, as Python writes them.

    A control sequence would move the cursor or colour the terminal, a bidi mark turn what stands around it.
    """
    return "".join(c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in text)
