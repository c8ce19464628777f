r"""A gold answer from what a data set holds: text, a number, a truth value, a list, or a whole solution.

>>> as_text(142.0), as_text(0), as_text(1e-05), as_text(1e22), as_text(["$2n$", 3])
('142', '0', '0.00001', '10000000000000000000000', '2n, 3')
>>> solution_answer("6 + 12 = 18 of 1,000.\n#### 1,008"), solution_answer("x = 5")
('1008', None)
"""

import math
import re
from decimal import Decimal
from typing import Any

from gsr_dagster.method.answer_phrases import said_answers
from gsr_dagster.method.answers import answer_of, closed_boxes, final_answer
from gsr_dagster.method.choices import choice_letter

# What programs write for a missing value. "None" is not among them: it may be the answer.
MISSING = ("", "nan", "<na>", "null")
# A number as programs write a very small or large one: 1e-05. "2e3" may be a formula.
SCIENTIFIC = re.compile(r"[-+]?\d(?:\.\d+)?[eE][-+]\d{2,3}")
HASHES = re.compile(r"^[^\S\n]*####(?!#)[^\S\n]*(\S[^\n]*)\Z", re.MULTILINE)
WORD = re.compile(r"(?<![\\\w])[^\W\d_]{2,}")
GROUPED_NUMBER = re.compile(r"[-+$]*\d{1,3}(?:,\d{3})+(?:\.\d+)?%?")


class WrittenNumber(float):
    """A number with the digits that it was written with, where a float keeps fewer."""

    __slots__ = ("written",)

    def __new__(cls, value: float, written: str) -> "WrittenNumber":
        number = super().__new__(cls, value)
        number.written = written
        return number


class GoldError(ValueError):
    """An answer that has no one reading. The message says what it is."""


def as_text(value: Any) -> str:
    """Return an answer as text, "" for a missing one. Raises GoldError for what has no one reading.

    A number is written in plain digits, whole ones without decimals; true and false are
    the words "True" and "False"; the items of a list are joined by commas.
    """
    if value is None:
        return ""
    if isinstance(value, str):
        if value.strip().lower() in MISSING:
            return ""
        return _digits(Decimal(value.strip())) if SCIENTIFIC.fullmatch(value.strip()) else value
    if isinstance(value, (bool, int)):
        return str(value)
    if isinstance(value, (float, Decimal)):
        if math.isnan(value):
            return ""
        if math.isinf(value):
            raise GoldError("an infinite number: write it as text, such as \\infty")
        written = value.written if isinstance(value, WrittenNumber) and value else repr(float(value))
        return _digits(Decimal(written) if isinstance(value, float) else value)
    if isinstance(value, (list, tuple)):
        return ", ".join(_item(item) for item in value)
    raise GoldError(f"{_named(value)} ({str(value)[:60]}): write it as text, a number or a list of those")


def solution_answer(text: str, domain: str = "math") -> str | None:
    r"""Return the answer of a text that is a whole solution, None for a text that is an answer itself.

    A solution ends in a line "#### 72", has a box among words, or says "The answer is ...".
    """
    if domain == "knights_knaves":
        return None
    if hashes := HASHES.search(text.rstrip()):
        return without_groups(hashes[1])
    if boxes := closed_boxes(text):
        is_solution = WORD.search(text[: boxes[0].start]) is not None
    else:
        is_letter = domain == "multiple_choice" and choice_letter(text) is not None
        is_solution = not is_letter and next(said_answers(text), None) is not None
    return answer_of(text, domain) if is_solution else None


def after_hashes(solution: str) -> str:
    """Return what stands behind the last #### of a GSM8K solution."""
    return solution.rpartition("####")[2].strip().replace(",", "")


def boxed(solution: str) -> str:
    r"""Return what the last \boxed of a MATH solution holds."""
    return final_answer(solution) or ""


def without_groups(text: str) -> str:
    """Return a number without the commas between its thousands, and other text as it is."""
    text = text.strip()
    return text.replace(",", "") if GROUPED_NUMBER.fullmatch(text) else text


def _item(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        raise GoldError(f"a list in a list ({str(value)[:60]}): write it as text")
    text = as_text(value).strip("$")
    if not text.strip():
        raise GoldError("a list with an item that is missing")
    return text


def _digits(number: Decimal) -> str:
    """Return a number in plain digits, without zeros that say nothing."""
    text = format(number, "f")
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in ("-0", "") else text.removeprefix("+")


def _named(value: Any) -> str:
    return "an object" if isinstance(value, dict) else f"a {type(value).__name__}"
