"""Golds of many kinds, ways to write each of them anew, and changes that make another answer of them."""

import random
import re
from collections.abc import Callable
from fractions import Fraction

Rewrite = Callable[[str, random.Random], str]

UNITS = {"cm": "centimeters", "m": "meters", "kg": "kilograms", "hours": "hr", "dollars": "dollars", "people": "people"}
WORDS = ["East", "West", "Tuesday", "Friday", "Yes", "even", "odd", "circle", "ellipse"]
SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def gold_and_changes(rng: random.Random) -> tuple[str, list[str], list[str]]:
    """Return a gold, other forms of it that mean the same, and answers that mean something else."""
    return rng.choice(KINDS)(rng)


def integer(rng):
    n = rng.choice([rng.randint(-99, 99), rng.randint(1000, 10**7)])
    forms = [f"{n}.0", f"x = {n}"]
    if n >= 1000:
        forms += [f"{n:,}", f"{n:,}".replace(",", "{,}"), f"{n:,}".replace(",", "\\,"), f"{n:,}".replace(",", " ")]
    return str(n), forms, [str(n + 1), str(10 * n + 3), f"{n}.5", f"{n}, {n + 1}"]


def fraction(rng):
    f = Fraction(rng.randint(1, 30), rng.randint(2, 30))
    a, b = f.numerator, f.denominator
    if b == 1:
        return integer(rng)
    forms = [f"{a}/{b}", f"\\dfrac{{{a}}}{{{b}}}", f"\\frac {{{a}}} {{{b}}}", f"\\frac{{{3 * a}}}{{{3 * b}}}"]
    if a < 10 and b < 10:
        forms += [f"\\frac{a}{b}", f"\\frac{a}{{{b}}}", f"\\frac{{{a}}}{b}"]
    if a > b:
        forms += [f"{a // b}\\frac{{{a % b}}}{{{b}}}", f"{a // b} {a % b}/{b}"]
    if (a % b, b) == (1, 2):
        forms.append(f"{a // b or ''}½")
    return (
        f"\\frac{{{a}}}{{{b}}}",
        forms,
        [f"\\frac{{{a + 1}}}{{{b}}}", f"\\frac{{{a}}}{{{b + 1}}}", f"-\\frac{{{a}}}{{{b}}}", str(a)],
    )


def repeating(rng):
    digits = rng.choice(["3", "6", "12", "142857", "09"])
    f = Fraction(int(digits), 10 ** len(digits) - 1)
    forms = [f"0.\\overline{{{digits}}}", f"0.\\bar{{{digits}}}" if len(digits) == 1 else f"0.\\overline{{{digits}}}"]
    if len(digits) == 1:
        forms.append(f"0.\\dot{{{digits}}}")
    rounded = [f"0.{digits}"] if len(digits) < 6 else []  # six places are math-verify's rounding
    return f"\\frac{{{f.numerator}}}{{{f.denominator}}}", forms, [*rounded, f"1.\\overline{{{digits}}}"]


def radical(rng):
    a, b = rng.randint(2, 9), rng.choice([2, 3, 5, 6, 7, 10])
    forms = [
        f"{a}√{b}",
        f"{a}\\cdot\\sqrt{{{b}}}",
        f"\\sqrt{{{a * a * b}}}",
        f"{a}\\sqrt{b}" if b < 10 else f"{a}\\sqrt{{{b}}}",
    ]
    return f"{a}\\sqrt{{{b}}}", forms, [f"{a + 1}\\sqrt{{{b}}}", f"{a}\\sqrt{{{b + 1}}}", f"{a}", f"-{a}\\sqrt{{{b}}}"]


def of_pi(rng):
    a = rng.randint(2, 40)
    return f"{a}\\pi", [f"{a}π", f"\\pi \\cdot {a}", f"{a} \\pi"], [f"{a + 1}\\pi", str(a), f"\\frac{{{a}}}{{\\pi}}"]


def polynomial(rng):
    x = rng.choice("xytmnshg")
    a, b = rng.randint(2, 9), rng.randint(1, 9)
    forms = [f"{b}+{a}{x}^2", f"{a}{x}²+{b}", f"{a}{x}^{{2}} + {b}", f"{a} {x}^2+{b}", f"{b} + {a}\\cdot {x}^{{2}}"]
    return f"{a}{x}^2+{b}", forms, [f"{a}{x}^3+{b}", f"{a + 1}{x}^2+{b}", f"{a}{x}^2-{b}", str(a), f"{a}{x}_2+{b}"]


def pair(rng):
    a, b = rng.sample(range(-20, 20), 2)
    forms = [
        f"({a},{b})",
        f"\\left({a},\\, {b}\\right)",
        f"（{a}，{b}）",
        f"\\begin{{pmatrix}} {a} \\\\ {b} \\end{{pmatrix}}",
        f"(x,y)=({a},{b})",
        f"\\langle {a}, {b} \\rangle",
    ]
    return f"({a}, {b})", forms, [f"({b}, {a})", f"({a}, {b + 1})", f"({a - 1}, {b})", f"[{a}, {b}]", str(a)]


def interval(rng):
    a = rng.randint(-20, 20)
    b = a + rng.randint(1, 9)
    left, right = rng.choice("(["), rng.choice(")]")
    low, high = ("<" if left == "(" else "\\le"), ("<" if right == ")" else "\\leq")
    forms = [
        f"{left}{a},{b}{right}",
        f"{a} {low} x {high} {b}",
        f"x \\in {left}{a}, {b}{right}",
        f"\\{{x \\mid {a} {low} x {high} {b}\\}}",
        f"{a}{low.replace(chr(92) + 'le', '≤')}x{high.replace(chr(92) + 'leq', '≤')}{b}",
    ]
    other = {"(": "[", "[": "(", ")": "]", "]": ")"}
    return (
        f"{left}{a}, {b}{right}",
        forms,
        [f"{other[left]}{a}, {b}{right}", f"{left}{a}, {b}{other[right]}", f"{left}{a}, {b + 1}{right}", f"x > {a}"],
    )


def ray(rng):
    a, sign = rng.randint(-20, 20), rng.choice(["<", ">", "\\le", "\\ge"])
    closed = sign.startswith("\\")
    up = sign in (">", "\\ge")
    bracket = f"{'[' if closed else '('}{a}, \\infty)" if up else f"(-\\infty, {a}{']' if closed else ')'}"
    turned = {"<": ">", ">": "<", "\\le": "\\ge", "\\ge": "\\le"}
    uni = {"<": "<", ">": ">", "\\le": "≤", "\\ge": "≥"}
    forms = [
        bracket,
        f"{a} {turned[sign]} x",
        f"x{uni[sign]}{a}",
        f"\\{{x : x {sign} {a}\\}}",
        bracket.replace("\\infty", "∞"),
        bracket.replace(" \\infty", " +\\infty"),
    ]
    return f"x {sign} {a}", forms, [f"x {turned[sign]} {a}", f"x {sign} {a + 1}", f"y {sign} {a}", f"x = {a}"]


def listed(rng):
    items = rng.sample(range(-30, 30), rng.randint(2, 4))
    shuffled = items[:]
    rng.shuffle(shuffled)
    text = ", ".join(map(str, items))
    forms = [
        ", ".join(map(str, shuffled)),
        f"\\{{{text}\\}}",
        ",".join(map(str, items)),
        "; ".join(map(str, items)),
        " and ".join(map(str, shuffled)) if len(items) == 2 else text,
    ]
    return (
        text,
        forms,
        [
            ", ".join(map(str, items[1:])),
            ", ".join(map(str, [items[0] + 61, *items[1:]])),
            f"{text}, 77",
            str(items[0]),
        ],
    )


def signed(rng):
    a = rng.randint(1, 30)
    return f"\\pm {a}", [f"{a}, -{a}", f"-{a},{a}", f"±{a}", f"\\{{-{a}, {a}\\}}"], [str(a), f"-{a}", f"\\pm {a + 1}"]


def measured(rng):
    n = rng.randint(1, 400)
    unit = rng.choice(list(UNITS))
    other = rng.choice([u for u in UNITS if u != unit])
    forms = [
        str(n),
        f"{n}\\,\\mathrm{{{unit}}}",
        f"{n} \\text{{{UNITS[unit]}}}",
        f"{n}~\\text{{{unit}}}",
        f"{n}\\text{{ {unit}}}",
    ]
    if len(unit) > 1:
        forms.append(f"{n} {unit}")
    return (
        f"{n} \\text{{ {unit}}}",
        forms,
        [f"{n} \\text{{ {other}}}", f"{n + 1} \\text{{ {unit}}}", str(n + 1), f"{n} \\text{{ million}}"],
    )


def percent(rng):
    n = rng.choice([rng.randint(2, 98), rng.randint(2, 98) + 0.5])
    forms = [f"{n}", f"{n} \\%", f"{n}%", f"{n} percent", f"{n}\\text{{ percent}}", f"{n}\\ \\%"]
    return f"{n}\\%", forms, [f"{n + 1}\\%", f"{10 * n}\\%", f"{n + 1}"]


def angle(rng):
    n = rng.choice([15, 30, 45, 60, 72, 90, 120])
    f = Fraction(n, 180)
    forms = [
        str(n),
        f"{n}°",
        f"{n}^{{\\circ}}",
        f"{n}\\text{{ degrees}}",
        f"{n} degrees",
        f"\\frac{{{f.numerator}\\pi}}{{{f.denominator}}}",
    ]
    return f"{n}^\\circ", forms, [f"{n + 1}^\\circ", f"\\frac{{{f.numerator + 1}\\pi}}{{{f.denominator}}}", str(n + 1)]


def power(rng):
    n = rng.randint(3, 60) if rng.random() < 0.7 else rng.randint(900, 2000)
    forms = [f"2^{{{n}}}", f"2{str(n).translate(SUPERSCRIPTS)}", f"2^{{{n - 1}}} \\cdot 2"]
    return f"2^{{{n}}}", forms, [f"2^{{{n + 1}}}", f"3^{{{n}}}", f"{n}^3"]


def scientific(rng):
    a, n = rng.randint(11, 99), rng.randint(2, 6)
    value = a * 10 ** (n - 1)
    forms = [f"{a / 10}e{n}", f"{a / 10} × 10^{n}", str(value), f"{value:,}", f"{a / 10} \\cdot 10^{{{n}}}"]
    return f"{a / 10} \\times 10^{{{n}}}", forms, [f"{a / 10} \\times 10^{{{n + 1}}}", f"{a / 10}e-{n}", f"{a / 10}"]


def word(rng):
    one, other = rng.sample(WORDS, 2)
    return (
        one,
        [one.lower(), f"\\text{{{one}}}", f"\\text{{{one.lower()}}}", one.upper(), f"{one}."],
        [other, f"\\text{{{other}}}", "5"],
    )


def clock(rng):
    hour, minute, half = rng.randint(1, 12), rng.randint(10, 59), rng.choice(["AM", "PM"])
    forms = [
        f"{hour}:{minute} {half}",
        f"{hour}:{minute}\\text{{ {half.lower()}}}",
        f"{hour}:{minute} {half[0].lower()}.m.",
    ]
    return (
        f"{hour}:{minute} \\text{{ {half}}}",
        forms,
        [f"{hour}:{minute} \\text{{ {'PM' if half == 'AM' else 'AM'}}}", f"{hour}:{minute - 1} \\text{{ {half}}}"],
    )


KINDS = [integer, fraction, repeating, radical, of_pi, polynomial, pair, interval, ray, listed, signed, measured, percent, angle, power, scientific, word, clock]  # fmt: skip


def dressed(text: str, rng: random.Random) -> str:
    """Return a text in other clothes: dollars, bold, spaces, full stops, Unicode signs. What it means stays."""
    for rewrite in rng.sample(DRESSES, rng.randint(0, 3)):
        text = rewrite(text, rng)
    return text


def in_dollars(text: str, rng: random.Random) -> str:
    return rng.choice(["${}$", "\\({}\\)", "\\[{}\\]", " {} ", "{}.", "{{{}}}"]).replace("{}", text, 1)


def in_bold(text: str, rng: random.Random) -> str:
    if not re.fullmatch(r"[-\d.,x+*^ ()\\a-z{}]*", text) or "%" in text or "\\text" in text or "begin" in text:
        return text
    return rng.choice(["\\boldsymbol{%s}", "\\mathbf{%s}", "\\displaystyle %s", "\\color{red}{%s}", "**%s**"]) % text


def after_commas(text: str, rng: random.Random) -> str:
    return re.sub(r", (?=\S)", lambda _: "," + rng.choice([" ", "\\, ", "\\;", "  ", "\u2009", "\u00a0", "~"]), text)


def around_signs(text: str, rng: random.Random) -> str:
    return re.sub(
        r"(?<=[\w}])([+=<>])(?=[\w\\-])", lambda f: rng.choice([" %s ", "\\,%s\\,", "\u2009%s\u2009"]) % f[1], text
    )


def other_minus(text: str, rng: random.Random) -> str:
    return text if "\\" in text or re.search("[a-z]", text) else text.replace("-", "−")


DRESSES: list[Rewrite] = [in_dollars, in_bold, after_commas, around_signs, other_minus]
