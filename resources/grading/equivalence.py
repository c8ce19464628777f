r"""When two mathematical answers are equal: math-verify, with its known faults mended.

    equal(Answer.read(r"\frac{1}{2}"), Answer.read("0.5"))      True
    equal(Answer.read("2^{-99}"), Answer.read("2^{-98}"))       False; math-verify alone says True

What math-verify 0.9.0 gets wrong and what is done about it:

- it is not symmetric: the first answer is always the gold, or the answer that came earlier;
- `**73**` and `10{,}000` are not read: cleaned away;
- numbers are compared after rounding to six places, and tiny ones all become 0: two
  unequal numbers must also agree in proportion;
- `2516_8` loses its base: two answers with different bases are different. One without a
  base is taken for the other's, as MATH's problems say the base themselves;
- several answers are compared as a set only where it can read all of them together: a
  list is also compared item by item, in any order, and a tuple in its order;
- text that is no formula reaches sympy's parser, which evaluates: here only digits and
  operators do.
"""

import cmath
import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from resources.grading import plain_formulas
from resources.grading.answer_texts import clean, is_closed, split_list
from resources.grading.costly_texts import UnreadableError, refuse_costly

INTEGER = re.compile(r"[+-]?\d+")
PLAIN_NUMBERS = re.compile(r"[\d\s.,+\-*/^()×÷%]+")
BASE = re.compile(r"_\{?(\d+)\}?$")

# Beyond what math-verify takes for equal: its rounding is to six places.
CLEARLY_APART = 2e-6
SAME_NUMBER = 1e-6
SAME_PROPORTION = 1e-3
SAME_EXACT_PROPORTION = 1e-12


@dataclass(frozen=True)
class Answer:
    """An answer as given and as cleaned. It is parsed where a comparison needs it: that is what costs time."""

    text: str
    cleaned: str

    @classmethod
    def read(cls, text: str) -> "Answer":
        """Read an answer. Raises UnreadableError where it is refused."""
        cleaned = clean(text)
        if not cleaned:
            raise UnreadableError("an empty answer")
        refuse_costly(cleaned)
        return cls(text, cleaned)

    @cached_property
    def integer(self) -> int | None:
        return int(self.cleaned) if INTEGER.fullmatch(self.cleaned) else None

    @cached_property
    def base(self) -> str | None:
        found = BASE.search(self.cleaned)
        return found[1] if found else None

    @cached_property
    def items(self) -> tuple[str, "tuple[Answer, ...]"]:
        """The brackets around a tuple or interval, "" for a list without, and its items; none for one answer."""
        text = self.cleaned.replace("\\left", "").replace("\\right", "").strip()
        for brackets in ("()", "[]", "(]", "[)"):
            inner = text[1:-1]
            if text[:1] == brackets[0] and text[-1:] == brackets[1] and is_closed(inner):
                parts = split_list(inner)
                return (brackets, tuple(Answer(p, clean(p)) for p in parts)) if len(parts) > 1 else ("", ())
        parts = split_list(text)
        return "", tuple(Answer(p, clean(p)) for p in parts) if len(parts) > 1 else ()

    @cached_property
    def plain(self) -> Any | None:
        """The sympy expression of a plain formula, which is no tuple, interval, relation or text."""
        return plain_formulas.read(self.cleaned)

    @cached_property
    def expressions(self) -> list[Any]:
        """What math-verify compares: sympy's numbers and expressions, then the text. Alone, the text was not parsed."""
        if self.integer is not None:
            from sympy import Integer

            return [Integer(self.integer), self.cleaned]
        if self.plain is not None:
            return [self.plain, self.cleaned]
        return _parse(self.cleaned)

    @property
    def is_parsed(self) -> bool:
        """Whether more than text is known of it, or of every item of a list."""
        _, items = self.items
        return (bool(items) and all(item.is_parsed for item in items)) or not isinstance(self.expressions[0], str)

    @cached_property
    def value(self) -> complex | None:
        """The expression's value with a number for each of its symbols, None for what is no plain expression."""
        from sympy import Expr, Symbol, UnevaluatedExpr

        expression = self.expressions[0]
        if not isinstance(expression, Expr) or isinstance(expression, Symbol) or expression.has(UnevaluatedExpr):
            return None
        try:
            numbers: dict[Any, Any] = {symbol: _number_for(str(symbol)) for symbol in expression.free_symbols}
            return complex(expression.evalf(20, subs=numbers))
        except (TypeError, ValueError, AttributeError, OverflowError, RecursionError, ZeroDivisionError):
            return None


def equal(gold: Answer, answer: Answer) -> bool:
    """Return whether an answer equals the gold, by math-verify where nothing quicker decides."""
    if gold.cleaned == answer.cleaned:
        return True
    if gold.integer is not None and answer.integer is not None:
        return gold.integer == answer.integer
    if gold.base and answer.base and gold.base != answer.base:
        return False
    brackets, items = gold.items
    if brackets and brackets == answer.items[0]:
        return _same_items(items, answer.items[1], equal)
    if (brackets and answer.plain is not None) or (answer.items[0] and gold.plain is not None):
        return False
    if _clearly_apart(gold, answer):
        return False
    return (_verify(gold, answer) and _in_proportion(gold, answer)) or _same_in_any_order(gold, answer)


def alike(first: Answer, second: Answer) -> bool:
    """Return whether two wrong answers vote together: equal numbers, at a point where they have symbols.

    No simplifying and no solving, as `equal` does: nobody's score hangs on it but a rival's.
    """
    if first.cleaned == second.cleaned:
        return True
    if first.integer is not None and second.integer is not None:
        return first.integer == second.integer
    brackets, items = first.items
    if items and brackets == second.items[0]:
        return _same_items(items, second.items[1], alike)
    if first.value is not None and second.value is not None:
        return cmath.isclose(first.value, second.value, rel_tol=SAME_NUMBER)
    return first.value is second.value is None and bool(first.expressions[0] == second.expressions[0])


def _same_items(first: Sequence[Answer], second: Sequence[Answer], same: Callable[[Answer, Answer], bool]) -> bool:
    return len(first) == len(second) and all(same(a, b) for a, b in zip(first, second, strict=True))


def _same_in_any_order(gold: Answer, answer: Answer) -> bool:
    """Return whether two lists without brackets hold equal answers, in any order."""
    (brackets, items), (other_brackets, others) = gold.items, answer.items
    if brackets or other_brackets or not items or len(items) != len(others):
        return False
    left = list(others)
    for item in items:
        match = next((other for other in left if equal(item, other)), None)
        if match is None:
            return False
        left.remove(match)
    return True


def _parse(cleaned: str) -> list[Any]:
    from math_verify import ExprExtractionConfig, LatexExtractionConfig, parse

    boxed = f"\\boxed{{{cleaned}}}"
    read = parse(boxed, [LatexExtractionConfig(boxed_match_priority=0)], parsing_timeout=None)  # pyright: ignore[reportArgumentType]
    if all(isinstance(part, str) for part in read) and PLAIN_NUMBERS.fullmatch(cleaned):
        read = parse(cleaned, [ExprExtractionConfig()], parsing_timeout=None)  # pyright: ignore[reportArgumentType]
    return read or [cleaned]


def _verify(first: Answer, second: Answer) -> bool:
    from math_verify import verify

    return verify(first.expressions, second.expressions, timeout_seconds=None)


def _clearly_apart(first: Answer, second: Answer) -> bool:
    """Return whether numbers show that no simplification can make the two equal."""
    if first.value is None or second.value is None:
        return False
    return abs(first.value - second.value) > CLEARLY_APART * max(1.0, abs(first.value))


def _in_proportion(first: Answer, second: Answer) -> bool:
    """Return whether two numbers that rounding makes equal are so in proportion to their size."""
    from sympy import Expr, Float, N, UnevaluatedExpr

    a, b = first.expressions[0], second.expressions[0]
    numbers = [e for e in (a, b) if isinstance(e, Expr) and not e.free_symbols and not e.has(UnevaluatedExpr)]
    if len(numbers) < 2:
        return True
    exact = not (a.has(Float) or b.has(Float))
    x, y = N(a, 30), N(b, 30)
    if not (x.is_number and y.is_number and x.is_finite and y.is_finite):
        return True
    return bool(abs(x - y) <= (SAME_EXACT_PROPORTION if exact else SAME_PROPORTION) * max(abs(x), abs(y)))


def _number_for(name: str) -> float:
    """Return a number between 0.5 and 1.5, the same for a symbol of this name in every answer."""
    return 0.5 + int.from_bytes(hashlib.sha256(name.encode()).digest()[:4]) / 2**32
