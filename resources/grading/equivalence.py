r"""When two mathematical answers are equal: their shapes first, then the formulas in them.

    equal(Answer.read("x > 1"), Answer.read(r"(1, +\infty)"))                True
    equal(Answer.read(r"3\text{ cm}, 4\text{ cm}"), Answer.read("4, 3"))     True
    equal(Answer.read(r"5\text{ cm}"), Answer.read(r"5\text{ m}"))           False

An answer is written in plain LaTeX (typography.py), taken apart into what it consists of
(shapes.py), freed of the words around its numbers (quantities.py), and compared formula by
formula (formulas.py). docs/grading.md says which readings are a choice.
"""

import cmath
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from resources.grading import shapes
from resources.grading.answer_texts import clean, is_closed, split_list, without_thousands
from resources.grading.costly_texts import UnreadableError, refuse_costly
from resources.grading.formulas import Formula, same_formula
from resources.grading.quantities import CLOCK, NEEDS_MORE, STRICT_LABELS, Quantity, may_be_unit, other_money, quantity
from resources.grading.typography import normalised

SAME_NUMBER = 1e-6
MOST_LAYERS = 5
IN_ANY_ORDER = ("", "{}")
BRACKETS = ("()", "[]", "(]", "[)")
ARTICLE = re.compile(r"\A(?:the|an|a(?! (?:and|or)\b)) ")
TEXT = re.compile(r"\\text\s*\{([^{}]*)\}")
SPOKEN = re.compile(r"[A-Za-z]{3,}|(?:[A-Za-z]+[ -])+[A-Za-z]+|[Nn][Oo]|[Oo][Kk]")


@dataclass(frozen=True)
class Answer:
    """An answer as given, and in plain LaTeX. It is taken apart where a comparison needs it."""

    text: str
    cleaned: str

    @classmethod
    def read(cls, text: str) -> "Answer":
        """Read an answer. Raises UnreadableError where it is refused."""
        if text.isascii() and text.isdigit() and len(text) < 19:
            return cls(text, text)
        cleaned = without_thousands(_plain(text))
        if not cleaned:
            raise UnreadableError("an empty answer")
        refuse_costly(cleaned)
        if NEEDS_MORE.search(cleaned):
            raise UnreadableError("a formula that breaks off")
        return cls(text, cleaned)

    @cached_property
    def cases(self) -> list[tuple[str, str]] | None:
        return shapes.cases(self.cleaned)

    @cached_property
    def regions(self) -> tuple[shapes.Region, ...] | None:
        return shapes.regions(self.cleaned)

    @cached_property
    def region_variable(self) -> str | None:
        return shapes.region_variable(self.cleaned)

    @cached_property
    def items(self) -> tuple[str, "tuple[Answer, ...]"]:
        """The brackets around a tuple, set or interval, "" for a list without, and its items; none for one answer."""
        if systems := shapes.systems(self.cleaned):
            return "", tuple(Answer(system, system) for system in systems)
        text = self.cleaned
        if (named := shapes.named_value(text)) and not split_list(text)[1:]:
            text = named[1]
        text = shapes.as_tuple(shapes.solution_set(text))
        if text.startswith("\\{") and text.endswith("\\}") and is_closed(text[2:-2]):
            return "{}", _parts(text[2:-2])
        signs = shapes.both_signs(text)
        if len(signs) > 1 and not split_list(text)[1:]:
            return "", tuple(Answer(sign, sign) for sign in signs)
        for brackets in BRACKETS:
            inner = text[1:-1]
            if text[:1] == brackets[0] and text[-1:] == brackets[1] and is_closed(inner):
                parts = _parts(inner)
                return (brackets, parts) if len(parts) > 1 else ("", ())
        parts = _parts(text)
        return "", parts if len(parts) > 1 else ()

    @cached_property
    def quantity(self) -> Quantity:
        return quantity(self.cleaned)

    @cached_property
    def formula(self) -> Formula:
        return Formula(self.quantity.core)

    @cached_property
    def words(self) -> str | None:
        """An answer in words, without its capitals, None for a formula."""
        plain = TEXT.sub(r"\1", self.cleaned).strip(" .\"'")
        if not SPOKEN.fullmatch(plain):
            return None
        plain = ARTICLE.sub("", " ".join(plain.casefold().split()))
        return " and ".join(sorted(plain.split(" and ")))

    @property
    def is_parsed(self) -> bool:
        """Whether more than text is known of it, or of everything that it consists of."""
        if self.cases is not None:
            return bool(self.cases) and all(Answer(value, value).is_parsed for value, _ in self.cases)
        if self.regions is not None:
            return all(Formula(end).is_parsed for _, *ends, _ in self.regions for end in ends)
        _, items = self.items
        if items:
            return all(item.is_parsed for item in items)
        if self.words is not None or CLOCK.fullmatch(self.quantity.core):
            return True
        named = shapes.named_value(self.quantity.core)
        return self.formula.is_parsed or (named is not None and Formula(named[1]).is_parsed)


def _plain(text: str) -> str:
    r"""Return an answer in plain LaTeX without decoration, however deep: `\mathbf{**61**.}` is 61."""
    for _ in range(MOST_LAYERS):
        before, text = text, normalised(clean(text))
        if text == before:
            break
    return text


def equal(gold: Answer, answer: Answer) -> bool:
    """Return whether an answer equals the gold."""
    if gold.cleaned == answer.cleaned:
        return True
    if gold.cases is not None or answer.cases is not None:
        return _same_cases(gold.cases, answer.cases)
    if gold.words is not None and answer.words is not None:
        return gold.words == answer.words
    if gold.regions is not None and answer.regions is not None:
        return _same_regions(gold, answer, equal)
    (brackets, items), (other_brackets, others) = gold.items, answer.items
    if others and not items and _says_it_again(answer):
        return all(equal(gold, other) for other in others)
    if items or others:
        return _same_list(brackets, items, other_brackets, others, equal) or _decimal_comma(gold, answer)
    return _same_quantity(gold, answer)


def _says_it_again(answer: Answer) -> bool:
    """Return whether a list may be one value in two forms: `3/2 or 1.5`."""
    return re.search(r"\bor\b", answer.cleaned) is not None


def _decimal_comma(gold: Answer, answer: Answer) -> bool:
    """Return whether `0,111` is meant as 0.111: three digits behind a zero are no list that anyone writes."""
    read = [re.sub(r"^([+-]?0),(\d{3})$", r"\1.\2", one.cleaned) for one in (gold, answer)]
    return read != [gold.cleaned, answer.cleaned] and _equal_texts(*read)


def alike(first: Answer, second: Answer) -> bool:
    """Return whether two wrong answers vote together: equal numbers, at a point where they have symbols.

    No simplifying and no solving, as `equal` does: nobody's score hangs on it but a rival's.
    """
    if first.cleaned == second.cleaned:
        return True
    if first.words is not None and second.words is not None:
        return first.words == second.words
    if first.regions is not None and second.regions is not None:
        return _same_regions(first, second, alike)
    (brackets, items), (other_brackets, others) = first.items, second.items
    if items or others:
        return _same_list(brackets, items, other_brackets, others, alike)
    one, other = first.quantity, second.quantity
    if _told_apart(one, other) or (one.percent, one.degrees) != (other.percent, other.degrees):
        return False
    a, b = first.formula, second.formula
    if a.integer is not None and b.integer is not None:
        return a.integer == b.integer
    if a.value is not None and b.value is not None:
        return cmath.isclose(a.value, b.value, rel_tol=SAME_NUMBER)
    return a.value is b.value is None and bool(a.expressions[0] == b.expressions[0])


def _parts(text: str) -> "tuple[Answer, ...]":
    """Return the items of a list, each of both signs as two."""
    return tuple(Answer(sign, sign) for part in split_list(text) for sign in shapes.both_signs(part))


def _same_list(
    brackets: str,
    items: Sequence[Answer],
    other_brackets: str,
    others: Sequence[Answer],
    same: Callable[[Answer, Answer], bool],
) -> bool:
    """Return whether two lists hold equal answers: a tuple in its order, others in any."""
    if brackets in IN_ANY_ORDER and other_brackets in IN_ANY_ORDER:
        return _matched(_distinct(items), _distinct(others), same)
    # Brackets that one of the two leaves out are those of a tuple.
    if len(items) != len(others) or (brackets != other_brackets and {brackets, other_brackets} != {"", "()"}):
        return False
    return all(same(item, other) for item, other in zip(items, others, strict=True))


def _distinct(items: Sequence[Answer]) -> Sequence[Answer]:
    """Return the items of a list, those that stand twice once, where more than one is left."""
    once = {re.sub(r"\s", "", item.cleaned): item for item in items}
    return list(once.values()) if len(once) > 1 else items


def _matched(items: Sequence[Any], others: Sequence[Any], same: Callable[[Any, Any], bool]) -> bool:
    """Return whether each item has one among the others that is the same, and none is left."""
    left = list(others)
    for item in items:
        match = next((number for number, other in enumerate(left) if same(item, other)), None)
        if match is None:
            return False
        del left[match]
    return not left


def _same_cases(cases: list[tuple[str, str]] | None, others: list[tuple[str, str]] | None) -> bool:
    """Return whether two piecewise answers hold equal values under the same conditions."""

    def same(one: tuple[str, str], other: tuple[str, str]) -> bool:
        return _equal_texts(one[0], other[0]) and (one[1] == other[1] or _equal_texts(one[1], other[1]))

    return cases is not None and others is not None and len(cases) == len(others) and _matched(cases, others, same)


def _same_regions(first: Answer, second: Answer, same: Callable[[Answer, Answer], bool]) -> bool:
    """Return whether two regions of the real line are the same intervals, in any order."""
    names = {answer.region_variable for answer in (first, second)} - {None}
    if len(names) > 1:  # x > 1 says nothing of y
        return False

    def same_region(one: shapes.Region, other: shapes.Region) -> bool:
        ends = zip(one[1:3], other[1:3], strict=True)
        return (one[0], one[3]) == (other[0], other[3]) and all(same(Answer(a, a), Answer(b, b)) for a, b in ends)

    one, other = first.regions or (), second.regions or ()
    return len(one) == len(other) and _matched(one, other, same_region)


def _same_quantity(gold: Answer, answer: Answer) -> bool:
    """Return whether two single answers are equal: their words tell nothing apart, and their formulas are the same."""
    for one, other in ((gold, answer), (answer, gold)):
        if (spaced := may_be_unit(one.cleaned)) and other.quantity.unit == spaced[1].lower():
            return same_formula(Formula(spaced[0]), other.formula)
    first, second = gold.quantity, answer.quantity
    if other_money(gold.text, second) or other_money(answer.text, first) or _told_apart(first, second):
        return False
    named, other_named = shapes.named_value(first.core), shapes.named_value(second.core)
    if named and other_named:
        if named[0] == other_named[0]:
            return _equal_texts(named[1], other_named[1])
        if named[0].startswith("\\m") and other_named[0].startswith("\\m"):  # the largest is not the smallest
            return False
    elif named and "=" not in second.core:
        return _equal_texts(named[1], second.core)
    elif other_named and "=" not in first.core:
        return _equal_texts(first.core, other_named[1])
    if CLOCK.fullmatch(first.core) or CLOCK.fullmatch(second.core):
        return first.core == second.core
    return any(same_formula(one, other) for one, other in _readings(first, second))


def _readings(first: Quantity, second: Quantity) -> Iterator[tuple[Formula, Formula]]:
    """Yield the pairs of formulas that two quantities can mean: a mark that one lacks may be meant, or left out."""
    yield Formula(first.core), Formula(second.core)
    for mark, value in (("percent", r"\frac{%s}{100}"), ("degrees", r"\frac{(%s)\pi}{180}")):
        one, other = getattr(first, mark), getattr(second, mark)
        if one and not other:
            yield Formula(value % first.core), Formula(second.core)
        if other and not one:
            yield Formula(first.core), Formula(value % second.core)


def _told_apart(first: Quantity, second: Quantity) -> bool:
    """Return whether units or labels say that two numbers are of different things. A unit may be left out, a label not."""
    if first.unit and second.unit and first.unit != second.unit:
        return True
    if first.label == second.label:
        return False
    strict = {first.label, second.label} & STRICT_LABELS
    return bool(strict) or bool(first.label and second.label)


def _equal_texts(first: str, second: str) -> bool:
    return equal(Answer(first, first), Answer(second, second))
