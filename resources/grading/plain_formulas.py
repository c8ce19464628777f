r"""The formulas that most answers are, read without math-verify's grammar, which takes 10 ms for each.

    read(r"-\frac{27}{2}x + \sqrt{3}")     sympy's -27*x/2 + sqrt(3)
    read(r"x^2 = 4"), read("5 m")          None: math-verify reads these

Numbers, fractions, roots, pi and the letters that math-verify never takes for a unit or a
constant, in sums and products, to sympy's same objects. Whatever could be meant in two
ways is None: `2\frac{1}{2}`, `1/2x`, `f(x)`, `x 2`. Only letters and numbers are raised,
and to two digits at most, so that nothing read here is costly.
"""

import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

LETTERS = "abkpqrxyznuvw"
TOKEN = re.compile(
    rf"(?P<number>\d+\.?\d*|\.\d+)|(?P<letter>[{LETTERS}])|\\(?P<command>[dt]?frac|sqrt|pi|cdot)(?![a-zA-Z])"
    r"|(?P<sign>[-+/^(){}])|\s+"
)
STARTS_A_FACTOR = {"letter", "frac", "sqrt", "pi", "("}

Token = tuple[str, str]


class NotPlainError(ValueError):
    """A text that is read by math-verify."""


def read(text: str) -> Any | None:
    """Return a sympy expression, None for what is no plain formula."""
    with suppress(NotPlainError):
        formula = _Formula(list(_tokens(text)))
        value = formula.sum()
        if not formula.rest:
            return value
    return None


def _tokens(text: str) -> Iterator[Token]:
    """Yield kinds and texts; a command's or sign's kind is its name."""
    at = 0
    while at < len(text):
        found = TOKEN.match(text, at)
        if not found:
            raise NotPlainError(text[at:])
        at = found.end()
        if found.lastgroup == "command":
            yield found["command"].removeprefix("d").removeprefix("t"), found[0]
        elif found.lastgroup:
            yield found[0] if found.lastgroup == "sign" else found.lastgroup, found[0]


class _Formula:
    """A recursive descent over the tokens that are left."""

    def __init__(self, tokens: list[Token]) -> None:
        self.rest = tokens[::-1]

    @property
    def next(self) -> str:
        return self.rest[-1][0] if self.rest else ""

    def take(self, *kinds: str) -> str:
        if self.next not in kinds:
            raise NotPlainError(self.next)
        return self.rest.pop()[1]

    def sum(self) -> Any:
        from sympy import Add

        terms = []
        while not terms or self.next in ("+", "-"):
            sign = self.take("+", "-") if self.next in ("+", "-") else "+"
            terms.append(self.product() if sign == "+" else -self.product())
        return Add(*terms)

    def product(self) -> Any:
        from sympy import Mul

        if self.next == "number" and [kind for kind, _ in self.rest[-3:-1]] == ["number", "/"]:
            return self.quotient()
        whole = self.next == "number"
        factors = [self.factor()]
        if whole and self.next in ("frac", "("):
            raise NotPlainError("a mixed number, as math-verify reads 2(1) too")
        while self.next in STARTS_A_FACTOR or self.next == "cdot":
            if self.next == "cdot":
                self.take("cdot")
            factors.append(self.factor())
        return Mul(*factors)

    def quotient(self) -> Any:
        """A fraction of two whole numbers with nothing behind it."""
        numerator, _, denominator = self.take("number"), self.take("/"), self.take("number")
        if self.next in STARTS_A_FACTOR | {"^", "cdot", "/"}:
            raise NotPlainError("what a slash divides")
        return _divided(_number(numerator), _number(denominator))

    def factor(self) -> Any:
        from sympy import pi, sqrt

        kind = self.next
        if kind == "frac":
            self.take("frac")
            return _divided(self.group("{", "}"), self.group("{", "}"))
        if kind == "sqrt":
            self.take("sqrt")
            return sqrt(self.group("{", "}"))
        if kind == "(":
            return self.group("(", ")")
        token = self.take("number", "letter", "pi")
        if kind != "number" and self.next == "(":
            raise NotPlainError("a function, or a product")
        return self.raised(pi if kind == "pi" else _number(token) if kind == "number" else _symbol(token))

    def group(self, opening: str, closing: str) -> Any:
        self.take(opening)
        value = self.sum()
        self.take(closing)
        if self.next == "^":
            raise NotPlainError("a power of a group")
        return value

    def raised(self, value: Any) -> Any:
        if self.next != "^":
            return value
        self.take("^")
        power = self.take("number", "{")
        if power == "{":
            power = self.take("number")
            self.take("}")
        elif len(power) > 1:
            raise NotPlainError("x^23 is x^{23} to some")
        if not re.fullmatch(r"\d{1,2}", power) or self.next == "^":
            raise NotPlainError(power)
        return value ** int(power)


def _number(text: str) -> Any:
    from sympy import Float, Integer

    return Integer(text) if text.isdigit() else Float(text)


def _symbol(letter: str) -> Any:
    from sympy import Symbol

    return Symbol(letter, real=True)


def _divided(numerator: Any, denominator: Any) -> Any:
    if denominator == 0:
        raise NotPlainError("a division by zero")
    return numerator / denominator
