r"""One formula, and when two are equal: math-verify, with its known faults mended.

    same_formula(Formula("\\frac{1}{2}"), Formula("0.5"))      True
    same_formula(Formula("2^{-99}"), Formula("2^{-98}"))       False; math-verify alone says True

What math-verify 0.9.0 gets wrong here, and what is done about it:

- it is not symmetric: the first formula is always the gold's, or the one that came earlier;
- numbers are compared after rounding to six places, and tiny ones all become 0: two unequal
  numbers must also agree in proportion;
- it takes the m of `\frac{1}{2}m` for a metre and drops it: its reading of units is off, and
  quantities.py reads them;
- `2516_8` loses its base: two formulas with different bases are different. One without a
  base is taken for the other's, as MATH's problems say the base themselves;
- text that is no formula reaches sympy's parser, which evaluates: here only digits and
  operators do.
"""

import hashlib
import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from resources.grading import plain_formulas

INTEGER = re.compile(r"[+-]?\d+")
PLAIN_NUMBERS = re.compile(r"[\d\s.,+\-*/^()%]+")
BASE = re.compile(r"_\{?(\d+)\}?$")
# A space that divides nothing: the one of `2 i`.
APART = re.compile(r"(?<=\d) (?=[A-Za-z](?![A-Za-z]))")
MIXED = re.compile(r"(?<![\w.}])(\d+) (\d+)/(\d+)(?![\w.])")

# Beyond what math-verify takes for equal: its rounding is to six places.
CLEARLY_APART = 2e-6
SAME_PROPORTION = 1e-3
SAME_EXACT_PROPORTION = 1e-12
NO_VALUE = (TypeError, ValueError, AttributeError, ArithmeticError, RecursionError, NotImplementedError)


@dataclass(frozen=True)
class Formula:
    """A formula of plain LaTeX (see typography.py). It is parsed where a comparison needs it: that is what costs time."""

    text: str

    @cached_property
    def integer(self) -> int | None:
        return int(self.text) if INTEGER.fullmatch(self.text) else None

    @cached_property
    def base(self) -> str | None:
        found = BASE.search(self.text)
        return found[1] if found else None

    @cached_property
    def plain(self) -> Any | None:
        """The sympy expression of a plain formula, which is no tuple, interval, relation or text."""
        return plain_formulas.read(self.text)

    @cached_property
    def expressions(self) -> list[Any]:
        """What math-verify compares: sympy's numbers and expressions, then the text. Alone, the text was not parsed."""
        if self.integer is not None:
            from sympy import Integer

            return [Integer(self.integer), self.text]
        if self.plain is not None:
            return [self.plain, self.text]
        return _parse(APART.sub("", MIXED.sub(r"\1\\frac{\2}{\3}", self.text)))

    @property
    def is_parsed(self) -> bool:
        """Whether more than its text is known."""
        return not isinstance(self.expressions[0], str)

    @cached_property
    def value(self) -> complex | None:
        """The expression's value with a number for each of its symbols, None for what is no plain expression."""
        from sympy import Expr, Symbol, UnevaluatedExpr

        expression = self.expressions[0]
        if not isinstance(expression, Expr) or isinstance(expression, Symbol) or expression.has(UnevaluatedExpr):
            return None
        try:
            numbers: dict[Any, Any] = {symbol: _number_for(str(symbol)) for symbol in expression.free_symbols}
            value = complex(expression.evalf(20, subs=numbers))
            return value if abs(value) < float("inf") else None
        except NO_VALUE:
            return None


def same_formula(first: Formula, second: Formula) -> bool:
    """Return whether two formulas are equal, by math-verify where nothing quicker decides."""
    if first.text == second.text:
        return True
    if first.integer is not None and second.integer is not None:
        return first.integer == second.integer
    if first.base and second.base and first.base != second.base:
        return False
    if _clearly_apart(first, second):
        return False
    return _verify(first, second) and _in_proportion(first, second)


def _parse(text: str) -> list[Any]:
    from math_verify import ExprExtractionConfig, LatexExtractionConfig, parse

    boxed = f"\\boxed{{{text}}}"
    config = LatexExtractionConfig(boxed_match_priority=0, normalization_config=_normalization())
    read = parse(boxed, [config], parsing_timeout=None)  # pyright: ignore[reportArgumentType]
    if all(isinstance(part, str) for part in read) and PLAIN_NUMBERS.fullmatch(text):
        read = parse(text, [ExprExtractionConfig()], parsing_timeout=None)  # pyright: ignore[reportArgumentType]
    return read or [text]


def _normalization() -> Any:
    from latex2sympy2_extended import NormalizationConfig

    return NormalizationConfig(
        basic_latex=True, units=False, malformed_operators=True, nits=True, boxed="all", equations=False
    )


def _verify(first: Formula, second: Formula) -> bool:
    from math_verify import verify

    return verify(first.expressions, second.expressions, timeout_seconds=None)


def _clearly_apart(first: Formula, second: Formula) -> bool:
    """Return whether numbers show that no simplification can make the two equal."""
    if first.value is None or second.value is None:
        return False
    try:
        return abs(first.value - second.value) > CLEARLY_APART * max(1.0, abs(first.value))
    except OverflowError:  # beyond a float: the proportion decides
        return False


def _in_proportion(first: Formula, second: Formula) -> bool:
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
