r"""The words around a number: its unit, a label that tells two answers apart, a word that multiplies.

>>> quantity(r"5 \text{ cm}")
Quantity(core='5', unit='cm', label='', percent=False, degrees=False)
>>> quantity(r"7:00 \text{ AM}").label, quantity("2.5 million dollars").core, quantity(r"12.5\%").percent
('am', '2500000', True)

Letters that stand for themselves are variables: the m of `2m` and of `\frac{1}{2}m` is no
metre. A single letter is a unit inside \text{...}, and after a space behind a plain number
it may be one: `5 m` (see ``may_be_unit``).
"""

import re
from dataclasses import dataclass
from decimal import Decimal

NUMBER = r"[+-]?(?:\d{1,3}(?:,\d{3})+|\d+)?(?:\.\d+)?"
PLAIN_NUMBER = re.compile(rf"(?=.*\d){NUMBER}|[+-]?\d+/\d+|[+-]?\d*\s*\\frac\{{\d+\}}\{{\d+\}}|[+-]?\d+ \d+/\d+")
SCALES = {"hundred": 2, "thousand": 3, "million": 6, "billion": 9, "trillion": 12}
LABELS = {
    "am": "am", "a.m": "am", "a.m.": "am", "pm": "pm", "p.m": "pm", "p.m.": "pm",
    "north": "north", "south": "south", "east": "east", "west": "west", "northeast": "northeast",
    "northwest": "northwest", "southeast": "southeast", "southwest": "southwest", "up": "up", "down": "down",
    "left": "left", "right": "right", "upward": "up", "downward": "down", "upwards": "up", "downwards": "down",
    "clockwise": "clockwise", "counterclockwise": "counterclockwise", "anticlockwise": "counterclockwise",
    "bc": "bc", "bce": "bc", "ad": "ad", "ce": "ad", "loss": "loss", "profit": "profit", "gain": "profit",
    "dozen": "dozen", "increase": "increase", "decrease": "decrease", "more": "more", "less": "less", "fewer": "less",
}  # fmt: skip
# Without these a number is of something else; the others may be said by the problem.
STRICT_LABELS = {
    "am",
    "pm",
    "north",
    "south",
    "east",
    "west",
    "northeast",
    "northwest",
    "southeast",
    "southwest",
    "bc",
    "dozen",
}
# Words that say nothing of the quantity.
FILLERS = {"of", "the", "a", "an", "per", "is", "total", "approximately", "about", "exactly", "only", "each"}
UNITS = {
    "centimeter": "cm", "centimetre": "cm", "cms": "cm", "millimeter": "mm", "millimetre": "mm", "meter": "m", "metre": "m",
    "mtr": "m", "kilometer": "km", "kilometre": "km", "kms": "km", "inch": "in", "inche": "in", "foot": "ft", "feet": "ft",
    "yard": "yd", "mile": "mi", "hour": "h", "hr": "h", "minute": "min", "second": "s", "sec": "s", "gram": "g", "gm": "g",
    "kilogram": "kg", "kgs": "kg", "milligram": "mg", "pound": "lb", "lbs": "lb", "ounce": "oz", "liter": "l", "litre": "l",
    "milliliter": "ml", "millilitre": "ml", "people": "person", "men": "man", "women": "woman", "children": "child",
    "feet/second": "ft/s", "mph": "mi/h", "kmh": "km/h", "kmph": "km/h", "kph": "km/h", "usd": "dollar", "buck": "dollar",
    "year": "year", "yr": "year", "yrs": "year", "sq": "square", "cu": "cubic", "unit": "", "point": "point", "rad": "radian",
    "dice": "die", "pence": "penny", "mice": "mouse", "geese": "goose", "oxen": "ox", "halves": "half", "vertices": "vertex",
}  # fmt: skip
# Money that is no dollars.
NO_DOLLARS = {"cent", "penny", "pennie", "euro", "lb", "yen", "rupee"}
DOLLAR = re.compile(r"\\\$|\A\s*\$[^$]*\Z")
SHORT_UNITS = {
    "cm", "mm", "km", "dm", "nm", "kg", "mg", "lb", "oz", "ml", "ft", "yd", "mi", "hr", "min", "sec", "mph", "kph", "kmh",
    "kmph", "gal", "pt", "qt", "hz", "khz", "mhz", "ghz", "kw", "mw", "kwh", "cal", "kcal", "mol", "pa", "kpa", "ev", "usd",
}  # fmt: skip
TEXT = r"\\text\s*\{[^{}]*\}"
EXPONENT = r"(?:\s*\^\s*\{?\s*[23]\s*\}?)?"
# Words at the end: in \text{...}, or bare ones of two letters or more.
TAIL = re.compile(
    rf"(?:(?P<text>(?:\s*(?:{TEXT}|(?<![\\A-Za-z])(?:[A-Za-z]{{2,}}\.?|[ap]\.\s?m\.?)){EXPONENT}(?:\s*[/.]\s*(?={TEXT}|[A-Za-z]))?)+)"
    r"|(?P<letter>(?<=\d) ?[A-Za-z](?:\^\{?[23]\}?)?))\s*\Z"
)
PERCENT = re.compile(
    r"\s*\\?%\s*\Z|\s*\\text\s*\{\s*(?:percent|per cent|pct)\s*\}\s*\Z|(?<=\d)\s*(?:percent|per cent|pct)\s*\Z"
)
# Of a temperature: no angle.
TEMPERATURE = re.compile(r"\s*\^\\circ\s*(?:\\text\s*\{\s*)?([CFK])\s*\}?\s*\Z")
TEMPERATURES = {"C": "celsius", "F": "fahrenheit", "K": "kelvin"}
# A speed or the like, whose units need no \text: 20 km/h.
RATE = re.compile(
    r"(?<=\d) ?((?:(?:km|cm|mm|ft|mi|in|yd|kg|mg|ml|mL)|(?<= )[mgL])(?:\^\{?[23]\}?)?/(?:s|h|hr|min|sec|m|cm|L|kg)(?![A-Za-z]))(\^\{?[23]\}?)?\s*\Z"
)
PER = re.compile(r"(?<=\d) ?/ ?(?=[A-Za-z]{3,}\Z)")  # 7/hour
DEGREE_MARK = re.compile(r"\s*\^\\circ\s*\Z|(?<=\d)\s*degrees?\s*\Z")
# What cannot end a formula: an operator, or a function that has no argument yet.
NEEDS_MORE = re.compile(
    r"(?:(?<![\^_{])[+\-*]|[/=<>^_(,:]|\\(?:sin|cos|tan|cot|sec|csc|log|ln|max|min|cdot|times|div|pm|mp|cup|cap|in|le|ge|ne|mid|to))\s*\Z"
)
WORD = re.compile(r"[a-z][a-z.]*|/|\^\s*\{?\s*[23]\s*\}?|\d+", re.IGNORECASE)
CLOCK = re.compile(r"\d{1,2}:\d{2}")


@dataclass(frozen=True)
class Quantity:
    """What is left of an answer without the words around it (``core``), and what these say.

    ``unit`` in its short form, "" without one; ``label`` tells answers apart that share a
    number (am, north); ``percent`` and ``degrees`` say that the mark stands there.
    """

    core: str
    unit: str = ""
    label: str = ""
    percent: bool = False
    degrees: bool = False


def quantity(text: str) -> Quantity:
    """Return one answer of plain LaTeX (see typography.py) without the words around it."""
    core, percent, degrees = RATE.sub(r" \\text{\1}\2", PER.sub(" per ", text.strip())), False, False
    if found := TEMPERATURE.search(core):
        return Quantity(core[: found.start()].strip(), TEMPERATURES[found[1]])
    words = ""
    if found := TAIL.search(core):
        head = core[: found.start()].rstrip()
        if found["text"] and head and _takes_words(head, found["text"]):
            core, words = head, found["text"]
    scale, unit, label = _read(words)
    if found := PERCENT.search(core):
        core, percent = core[: found.start()], True
    elif unit == "percent":
        percent, unit = True, ""
    if found := DEGREE_MARK.search(core):
        core, degrees = core[: found.start()], True
    elif unit == "degree":
        degrees, unit = True, ""
    if label in ("am", "pm") and re.fullmatch(r"\d{1,2}", core.strip()):
        core = f"{core.strip()}:00"
    if label == "dozen" and PLAIN_NUMBER.fullmatch(core.strip()):
        core, label = f"{core.strip()} \\cdot 12", ""
    if scale:
        core = _scaled(core, scale)
    return Quantity(core.strip() or text.strip(), unit, label, percent, degrees)


def other_money(text: str, other: Quantity) -> bool:
    """Return whether an answer as it was given has a sign of dollars, and the other quantity is of other money."""
    return "$" in text and other.unit in NO_DOLLARS and DOLLAR.search(text) is not None


def may_be_unit(text: str) -> tuple[str, str] | None:
    """Return the number and the letter of `5 m`, where the letter may be a unit; None for anything else."""
    found = TAIL.search(text)
    if found and found["letter"] and PLAIN_NUMBER.fullmatch(head := text[: found.start()].strip()):
        return head, re.sub(r"[\s{}]", "", found["letter"])
    return None


def _takes_words(head: str, words: str) -> bool:
    """Return whether words behind a formula are said of it, and are no product of letters or name of a function."""
    if NEEDS_MORE.search(head):
        return False
    bare = re.sub(TEXT, "", words)
    named = re.findall(r"[A-Za-z]+", bare)
    if not named:
        return True
    if PLAIN_NUMBER.fullmatch(head) or CLOCK.fullmatch(head) or head.endswith(("%", "\\circ")):
        attached = not bare[0].isspace() and re.match(r"[A-Za-z]", bare) is not None
        return not attached or named[0].lower() in SHORT_UNITS | SCALES.keys() | LABELS.keys() or len(named[0]) > 3
    return all(name.lower() in SHORT_UNITS for name in named)


def _read(words: str) -> tuple[int, str, str]:
    """Return the power of ten, the unit in its short form, and the label that words name."""
    scale, label, unit, power = 0, "", [], ""
    plain = re.sub(r"\\text\s*\{([^{}]*)\}", r" \1 ", words)
    for token in WORD.findall(plain):
        word = token.lower()
        if word.startswith("^"):
            unit.append(f"^{re.sub('[^23]', '', word)}")
        elif word.rstrip(".") in LABELS or word in LABELS:
            label = LABELS.get(word) or LABELS[word.rstrip(".")]
        elif word in SCALES and not unit:
            scale += SCALES[word]
        elif word in ("square", "sq", "sq.", "cubic", "cu", "cu."):
            power = "^2" if word.startswith("sq") else "^3"
        elif word == "per":
            unit.append("/")
        elif word not in FILLERS:
            unit.append(_short(word.rstrip(".")))
            if power:
                unit.append(power)
                power = ""
    if unit[:1] == ["degree"] and unit[1:]:
        unit = unit[1:]  # Fahrenheit
    return scale, "".join(unit) or ("" if not power else f"unit{power}"), label


def _short(word: str) -> str:
    """Return a unit in its short form, and any other word without its plural's ending."""
    plural = len(word) > 3 or word[:-1] in SHORT_UNITS | {"yr", "gm"}
    singular = word[:-1] if plural and word.endswith("s") and not word.endswith("ss") else word
    return UNITS.get(word, UNITS.get(singular, singular))


def _scaled(core: str, scale: int) -> str:
    number = core.replace(",", "")
    if re.fullmatch(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)", number):
        return format(Decimal(number).scaleb(scale).normalize(), "f")
    return f"{core} \\cdot 10^{{{scale}}}"
