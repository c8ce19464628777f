r"""Answers that are more than one value: both signs, vectors, cases, and regions of the real line.

>>> both_signs(r"(\pm a, 0)")
['(a, 0)', '(-a, 0)']
>>> regions(r"\{x \mid 1 < x \le 2\}"), regions("(1,2]"), regions("x > 1")
((('(', '1', '2', ']'),), (('(', '1', '2', ']'),), (('(', '1', '\\infty', ')'),))
>>> as_tuple(r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}"), named_value(r"m_{\max} = 5")
('(1,2)', ('\\max', '5'))
"""

import re
from fractions import Fraction

from resources.grading.answer_texts import is_closed, split_list

# Brackets, and what stands between them: from "low" to "high".
Region = tuple[str, str, str, str]
INFINITE = r"\infty"

VECTOR = re.compile(r"\\begin\{([pbBvV]?(?:small)?matrix|array)\}(?:\{[^{}]*\})?(.*)\\end\{\1\}", re.DOTALL)
TRANSPOSE = re.compile(r"(?<=[})\]])\s*\^\s*\{?\s*(?:T|\\top|\\intercal)\s*\}?\Z")
ANGLES = re.compile(r"\\langle(.*)\\rangle", re.DOTALL)
CASES = re.compile(r"(?:[^=]*=\s*)?\\begin\{cases\}(.*)\\end\{cases\}\s*\.?", re.DOTALL)
CONDITION_WORDS = re.compile(r"\\text\s*\{([^{}]*)\}|\b(?:if|for|when|where|otherwise|else)\b")
SIGNS = re.compile(r"\\(pm|mp)(?![A-Za-z])\s*")
SET_BUILDER = re.compile(
    r"\\\{\s*(?P<name>[A-Za-z])\s*(?:\\in\s*(?:\\mathbb\s*\{?\s*R\s*\}?|R))?\s*(?:\\mid|\\vert|\||:|\\colon)\s*(?P<body>.*)\\\}",
    re.DOTALL,
)
MEMBER = re.compile(r"[A-Za-z](?:_\{?\w+\}?)?\s*\\in\s*(?=[(\[\\])")
UNION = re.compile(r"\\cup(?![A-Za-z])|\\text\s*\{\s*or\s*\}|\bor\b|\\lor(?![A-Za-z])|\\vee(?![A-Za-z])")
ALSO = re.compile(r",|\\text\s*\{\s*and\s*\}|\band\b|\\(?:land|wedge)(?![A-Za-z])")
RELATION = re.compile(r"\\(?:le|ge|lt|gt)(?![A-Za-z])|<=|>=|<|>")
SAME_RELATION = {r"\le": "<=", r"\ge": ">=", r"\lt": "<", r"\gt": ">", "<": "<", ">": ">", "<=": "<=", ">=": ">="}
REALS = re.compile(r"\\mathbb\s*\{?\s*R\s*\}?(?:\s*[\^_]\s*\{?\s*(?:([+-])|(>|<|\\[gl]e)\s*0)\s*\}?)?")
VARIABLE = re.compile(r"[A-Za-z](?:_\{?\w+\}?)?(?:\([a-z]\))?|\\(?:theta|alpha|beta|lambda|mu|phi|rho)")
ABSOLUTE = re.compile(
    rf"(?:\||\\lvert|\\vert)\s*(?P<name>{VARIABLE.pattern})\s*(?:\||\\rvert|\\vert)\s*(?P<sign>{RELATION.pattern})\s*(?P<value>[^|,;=<>]+)"
)
# Every number but one.
EXCEPT = re.compile(
    rf"(?P<name>{VARIABLE.pattern})\s*\\ne(?![A-Za-z])\s*(?P<value>[^,;]+)"
    r"|\\mathbb\s*\{?\s*R\s*\}?\s*(?:\\setminus|\\backslash|-)\s*\\\{\s*(?P<point>[^,;{}]+|[^,;]*\{[^,;]*\})\s*\\\}"
)
EXTREME = re.compile(r"\\?(max|min)(?:imum)?(?![A-Za-z])", re.IGNORECASE)
ONE_NAME = r"(?:\|[^|=]*\||\\frac\{d[^{}]*\}\{d[^{}]*\}|\\(?:vec|overline|overrightarrow|hat|bar)\s*\{[^{}]*\}|(?:\\?#\s*)?[A-Za-z]+(?:_\{?[^{}=]*\}?)?(?:\^\{-1\})?'*(?:\s*\([^()=]*\))?|\\[A-Za-z]+|\\text\s*\{[^{}]*\})"
# What has a number as its value by itself: 3 + 4, \log_2 16, a limit, a sum.
CLOSED = re.compile(
    r"(?:[\d\s+*/^_(){}.,!|-]|\\(?:cdot|times|div|frac|sqrt|binom|log|ln|gcd|lcm|sin|cos|tan|pi|circ|[lr]floor|[lr]ceil)(?![A-Za-z]))+"
)
LIMIT = re.compile(r"\\(?:lim|int|sum|prod)(?![A-Za-z])")
LETTER = re.compile(r"(?<![\\A-Za-z])[A-Za-z]")
# A name, a ratio of names, or a tuple of them.
NAME = re.compile(rf"{ONE_NAME}(?:\s*:\s*{ONE_NAME})*|\(\s*{ONE_NAME}(?:\s*,\s*{ONE_NAME})+\s*\)")


def both_signs(text: str) -> list[str]:
    r"""Return an answer with \pm as the two that it stands for, the signs of \mp against those of \pm; else itself."""
    if not SIGNS.search(text):
        return [text]
    chosen = []
    for plus, minus in (("+", "-"), ("-", "+")):
        signed = SIGNS.sub(lambda found, p=plus, m=minus: p if found[1] == "pm" else m, text)
        chosen.append(re.sub(r"(^|[(\[,{=])\s*\+\s*", r"\1", signed).strip())
    return chosen


def as_tuple(text: str) -> str:
    r"""Return a vector, as a column, a row or in angles, as a tuple; any other answer as it is."""
    text = text.strip()
    upright = TRANSPOSE.sub("", text)
    if upright[:1] + upright[-1:] in ("()", "[]") and (upright != text or VECTOR.fullmatch(upright[1:-1].strip())):
        inner = upright[1:-1].strip()
        upright = inner if VECTOR.fullmatch(inner) else f"({inner})" if is_closed(inner) else text
    text = upright
    if found := VECTOR.fullmatch(text):
        rows = [row.strip() for row in re.split(r"\\\\(?:\[[^\]]*\])?", found[2]) if row.strip()]
        cells = [cell.strip() for row in rows for cell in row.split("&")]
        if len(rows) == 1 or len(cells) == len(rows):
            return f"({','.join(cells)})" if len(cells) > 1 else cells[0] if cells else text
    if found := ANGLES.fullmatch(text):
        return f"({found[1].strip()})"
    return text


def solution_set(text: str) -> str:
    r"""Return `\{x \mid x = 1 \text{ or } x = 2\}` as its members, any other answer as it is."""
    if (member := MEMBER.match(text)) and text[member.end() :].startswith("\\{"):
        return text[member.end() :]
    found = SET_BUILDER.fullmatch(text.strip())
    values = [named_value(part) for part in split_list(found["body"])] if found else []
    if found and values and all(value and value[0] == found["name"] for value in values):
        return f"\\{{{','.join(value[1] for value in values if value)}\\}}"
    return text


def systems(text: str) -> list[str] | None:
    """Return `p = 5, q = 2; p = 7, q = 2` as its tuples, None for any other answer."""
    systems = [split_list(part) for part in text.split(";")]
    values = [[named_value(part) for part in system] for system in systems]
    if len(systems) < 2 or not all(len(system) > 1 and all(system) for system in values):
        return None
    return [f"({','.join(found[1] for found in system if found)})" for system in values]


def cases(text: str) -> list[tuple[str, str]] | None:
    """Return the values of a piecewise answer with their conditions, None for any other answer."""
    found = CASES.fullmatch(text.strip())
    if not found:
        return None
    rows = [row for row in re.split(r"\\\\(?:\[[^\]]*\])?", found[1]) if row.strip()]
    pairs = []
    for row in rows:
        value, _, condition = row.partition("&")
        condition = CONDITION_WORDS.sub(lambda f: re.sub(r"\b(?:if|for|when|where)\b", "", f[1] or ""), condition)
        pairs.append((value.strip().rstrip(",").strip(), re.sub(r"[\s,]+", "", condition)))
    return pairs


def regions(text: str) -> tuple[Region, ...] | None:
    """Return the intervals of an answer that is a region of the real line, None for any other answer."""
    parsed = _regions(text)
    return None if parsed is None else tuple(region for region, _ in parsed)


def region_variable(text: str) -> str | None:
    """Return the letter that an inequality is about, None for an interval or a set, whose letter says nothing."""
    parsed = _regions(text)
    names = {name for _, name in parsed or ()}
    return names.pop() if len(names) == 1 else None


def _regions(text: str) -> list[tuple[Region, str | None]] | None:
    text = text.strip()
    sets = re.split(r"(?<=\\\})\s*\\cup\s*(?=\\\{)", text)
    if len(sets) > 1:
        inner = [_regions(part) for part in sets]
        return None if None in inner else [region for part in inner for region in part or ()]
    if found := SET_BUILDER.fullmatch(text):
        inner = _regions(found["body"].strip())
        return None if inner is None else [(region, None) for region, _ in inner]
    in_set = bool(MEMBER.match(text))
    text = MEMBER.sub("", text, count=1) if in_set else text
    if found := EXCEPT.fullmatch(text):
        point = found["point"] or found["value"]
        name = found["name"]
        return [(("(", f"-{INFINITE}", point, ")"), name), (("(", point, INFINITE, ")"), name)]
    if found := REALS.fullmatch(text):
        sign = found[1] or {">": "+", r"\ge": "+", "<": "-", r"\le": "-"}.get(found[2], "")
        low = "0" if sign == "+" else f"-{INFINITE}"
        high = "0" if sign == "-" else INFINITE
        return [(("[" if found[2] == r"\ge" else "(", low, high, "]" if found[2] == r"\le" else ")"), None)]
    if found := ABSOLUTE.fullmatch(text):
        return _of_absolute(found["name"], SAME_RELATION[found["sign"]], found["value"].strip())
    if (both := [_one_region(part.strip()) for part in ALSO.split(text)]) and len(both) == 2 and all(both):
        return _both([part for part in both if part])
    found = [_one_region(part.strip()) for part in UNION.split(text)]
    if not found or None in found:
        return None
    return [part for part in found if part]


def _of_absolute(name: str, sign: str, value: str) -> list[tuple[Region, str | None]]:
    """Return the region of `|x| < 3`, or of `|x| > 3`."""
    negative = f"-({value})" if re.search(r"[+-]", value) else f"-{value}"
    if sign.startswith("<"):
        return [(("[" if "=" in sign else "(", negative, value, "]" if "=" in sign else ")"), name)]
    lower = ("(", f"-{INFINITE}", negative, "]" if "=" in sign else ")")
    return [(lower, name), (("[" if "=" in sign else "(", value, INFINITE, ")"), name)]


def _both(parts: list[tuple[Region, str | None]]) -> list[tuple[Region, str | None]] | None:
    """Return the region of `x > 1 and x < 3`; where no number is in both, those in either are meant."""
    (first, name), (second, other) = parts
    if name is None or name != other or (first[1] == f"-{INFINITE}") == (second[1] == f"-{INFINITE}"):
        return None
    low, high = (second, first) if first[1] == f"-{INFINITE}" else (first, second)
    if low[2] != INFINITE or high[1] != f"-{INFINITE}":
        return None
    begin, end = _number(low[1]), _number(high[2])
    if begin is not None and end is not None and begin >= end:
        return parts
    return [((low[0], low[1], high[2], high[3]), name)]


def _number(text: str) -> Fraction | None:
    """Return the number that a text is, None for a letter or a root."""
    text = re.sub(r"\\frac\{(\d+)\}\{(\d+)\}", r"\1/\2", text.replace(" ", ""))
    try:
        return Fraction(text)
    except (ValueError, ZeroDivisionError):
        return None


def _one_region(text: str) -> tuple[Region, str | None] | None:
    if text[:1] in ("(", "[", "]") and text[-1:] in (")", "]", "[") and len(text) > 2:
        inner = text[1:-1]
        parts = split_list(inner)
        if len(parts) == 2 and is_closed(inner):  # ]1,2[ is French for (1,2)
            low, high = (_plain_infinity(part) for part in parts)
            return (text[0].replace("]", "("), low, high, text[-1].replace("[", ")")), None
        return None
    sides = RELATION.split(text)
    signs = [SAME_RELATION[sign] for sign in RELATION.findall(text)]
    sides = [side.strip() for side in sides]
    if not signs or len(signs) > 2 or not all(sides):
        return None
    if len(signs) == 2:
        return _between(sides, signs)
    left, right = sides
    (sign,) = signs
    if VARIABLE.fullmatch(right) and not VARIABLE.fullmatch(left):
        left, right, sign = right, left, sign.translate(str.maketrans("<>", "><"))
    if not VARIABLE.fullmatch(left) or VARIABLE.fullmatch(right):
        return None
    closed = "=" in sign
    if sign.startswith("<"):
        return ("(", f"-{INFINITE}", right, "]" if closed else ")"), left
    return ("[" if closed else "(", right, INFINITE, ")"), left


def _between(sides: list[str], signs: list[str]) -> tuple[Region, str | None] | None:
    low, name, high = sides
    first, second = signs
    if not VARIABLE.fullmatch(name) or first[0] != second[0]:
        return None
    if first[0] == ">":
        low, high, first, second = high, low, second, first
    return ("[" if "=" in first else "(", low, high, "]" if "=" in second else ")"), name


def _plain_infinity(text: str) -> str:
    return re.sub(r"^\+\s*(?=\\infty)", "", text.strip())


def named_value(text: str) -> tuple[str, str] | None:
    r"""Return the name and the value of `x = 5` or `\max S = 5` (named \max), None for any other answer.

    A sum such as `3 + 4 = 7` has no name.
    """
    parts = re.split(r"(?<![<>!\\:])=(?!=)", text)
    if len(parts) < 2 or not all(part.strip() for part in parts):
        return None
    name, value = parts[0].strip(), parts[-1].strip()
    if VARIABLE.fullmatch(value) and not VARIABLE.fullmatch(name):
        name, value = value, name
    if found := EXTREME.search(name):
        return f"\\{found[1].lower()}", value
    if NAME.fullmatch(name):
        return re.sub(r"\s", "", name), value
    has_letters = LETTER.search(re.sub(r"\\text\{[^{}]*\}", "", value))
    return ("", value) if LIMIT.match(name) or (CLOSED.fullmatch(name) and not has_letters) else None
