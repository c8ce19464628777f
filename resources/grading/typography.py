r"""One way to write what has several: Unicode, spacing, decoration and shorthand become plain LaTeX.

>>> normalised("（−∞，½]∪[√2, 3½)")
'(-\\infty ,\\frac{1}{2}] \\cup [\\sqrt{2}, 3\\frac{1}{2})'
>>> normalised(r"\mathbf{x}~=~\tfrac1c\,\boldsymbol{\pi}")
'x = \\frac{1}{c} \\pi'
>>> normalised(r"0.1\overline{6}"), normalised("1.5e-3"), normalised(r"12^{\text{th}}")
('\\frac{15}{90}', '0.0015', '12')
"""

import re
import unicodedata
from decimal import Decimal

SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ⁿⁱ", "0123456789+-=()ni")
SUBSCRIPTS = str.maketrans("₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎ₙᵢ", "0123456789+-=()ni")
RAISED = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ⁿⁱ]+")
LOWERED = re.compile("[₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎ₙᵢ]+")
SYMBOLS = {
    "−": "-", "–": "-", "—": "-", "‐": "-", "‑": "-", "×": r"\times ", "⋅": r"\cdot ", "·": r"\cdot ", "∙": r"\cdot ",
    "∗": "*", "÷": r"\div ", "⁄": "/", "∕": "/", "±": r"\pm ", "∓": r"\mp ", "∞": r"\infty ", "∪": r" \cup ",
    "∩": r" \cap ", "∈": r" \in ", "∉": r" \notin ", "⊂": r" \subset ", "⊆": r" \subseteq ", "∅": r"\emptyset ",
    "≤": r" \le ", "⩽": r" \le ", "≥": r" \ge ", "⩾": r" \ge ", "≠": r" \ne ", "≈": r" \approx ", "∣": r" \mid ",
    "⟨": r"\langle ", "⟩": r"\rangle ", "〈": r"\langle ", "〉": r"\rangle ", "°": r"^\circ ", "º": r"^\circ ", "∠": r"\angle ",
    "ℝ": r"\mathbb{R}", "ℤ": r"\mathbb{Z}", "ℕ": r"\mathbb{N}", "ℚ": r"\mathbb{Q}", "ℂ": r"\mathbb{C}",
    "α": r"\alpha ", "β": r"\beta ", "γ": r"\gamma ", "δ": r"\delta ", "ε": r"\epsilon ", "θ": r"\theta ", "λ": r"\lambda ",
    "μ": r"\mu ", "µ": r"\mu ", "π": r"\pi ", "ρ": r"\rho ", "σ": r"\sigma ", "τ": r"\tau ", "φ": r"\phi ", "ϕ": r"\phi ",
    "χ": r"\chi ", "ψ": r"\psi ", "ω": r"\omega ", "Γ": r"\Gamma ", "Δ": r"\Delta ", "Θ": r"\Theta ", "Λ": r"\Lambda ",
    "Π": r"\Pi ", "Σ": r"\Sigma ", "Φ": r"\Phi ", "Ψ": r"\Psi ", "Ω": r"\Omega ", "’": "'", "′": "'", "“": '"', "”": '"',
    "。": ".", "、": ",", "【": "[", "】": "]", "∶": ":", "∖": r"\setminus ", "∨": r" \lor ", "∧": r" \land ", "≦": r" \le ",
    "≧": r" \ge ", "≒": r" \approx ", "≃": r" \approx ", "≅": r" \approx ", "℃": r"^\circ C", "℉": r"^\circ F", "η": r"\eta ",
    "ζ": r"\zeta ", "ξ": r"\xi ", "κ": r"\kappa ", "ν": r"\nu ", "ϵ": r"\epsilon ", "⌊": r"\lfloor ", "⌋": r"\rfloor ",
    "⌈": r"\lceil ", "⌉": r"\rceil ", "‖": r"\|", "˚": r"^\circ ", "∘": r"\circ ", "Ø": r"\emptyset ",
}  # fmt: skip
SYMBOL = re.compile("[" + "".join(map(re.escape, SYMBOLS)) + "]")
FULL_WIDTH = {code: chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)}
INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u2060\ufeff\u202a-\u202e]")
WIDE_SPACE = re.compile("[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]")
# Letters and digits in a font of their own: 𝑥, 𝟓.
STYLED = re.compile("[\U0001d400-\U0001d7ff]")
ROOT_WITH_INDEX = re.compile(r"(?<![\w)\]}])([³⁴])√")
ROOT_OF = {"√": "", "∛": "[3]", "∜": "[4]"}
PER_MILLE = re.compile(r"(\d+(?:\.\d+)?)\s*‰")
CURRENCY = re.compile(r"([€£¥₹])\s*(\d[\d,.]*)")
CENTS = re.compile(r"(\d)\s*¢")
CURRENCIES = {"€": "euros", "£": "pounds", "¥": "yen", "₹": "rupees"}
ROOT = re.compile(r"([√∛∜])\s*(?:\{([^{}]*)\}|\(([^()]*)\)|(\d+(?:\.\d+)?|[A-Za-z]))")

THOUSANDS = re.compile(r"(?<=\d)(?:\\,|\\!|\\;|\\:|~|\\ |\{,\})\s*(?=\d{3}(?!\d))")
SPACE = re.compile(
    r"(?<!\\)\\(?:[,;:!> ]|q?quad\b|thinspace\b|enspace\b|hspace\*?\{[^{}]*\}|hfill\b|mspace\{[^{}]*\})|~|(?<=\d)\{\}(?=\s*\^)"
)
# Where mathematics begins and ends, and a backslash too many.
MATH_MODE = re.compile(r"(?<!\\)\\[()]|(?<!\\)\\\[(?!\d)|(?<!\\)\\\]")
DOUBLED = re.compile(r"\\(?=\\[A-Za-z])")
SIZES = re.compile(
    r"\\(?:displaystyle|textstyle|scriptstyle|limits|tiny|small|normalsize|large|Large|LARGE|huge|Huge|bf|rm|it"
    r"|[bB]ig[lrm]?|[bB]igg[lrm]?|left|right|middle|m?left|mright)(?![A-Za-z])\s*(?!\.(?!\d))"
)
NO_DELIMITER = re.compile(r"\\(?:left|right)\s*\.(?!\d)")
DECORATIONS = re.compile(
    r"\\(?:boldsymbol|bm|mathbf|mathit|mathsf|mathtt|mathnormal|pmb|bold|mathop|underline|mbox\{\}|boxed|fbox|emph|ensuremath)"
    r"\s*(?=[{A-Za-z0-9\\])"
)
COLOURS = re.compile(r"\\(?:text)?color(?:box)?\s*(?:\[[^\]]*\])?\s*\{[^{}]*\}")
WORDS = re.compile(r"\\(?:mathrm|textrm|textit|textbf|textsf|texttt|textnormal|operatorname\*?|mbox|hbox)\s*\{")
# A number that stands in the text of its unit.
NUMBER_IN_TEXT = re.compile(r"\\text\s*\{\s*(\d[\d.,/]*)\s*([A-Za-z][^{}]*)\}")
TEXT = re.compile(r"\\text\s*\{([^{}]*)\}(?P<number>\s*+[-+\\\d.(])?")
LIST_MARK = re.compile(r"(,)\s++|(?<=\S)(?<!,)\s++((?:and|or)\b)(?=\s++\d|\s*+\Z)")
UNIT_FRACTION = re.compile(
    r"(?<=\d)\s*\\frac\s*\{\s*\\text\s*\{\s*([^{}]*?)\s*\}\s*\}\s*\{\s*\\text\s*\{\s*([^{}]*?)\s*\}\s*(\^[23])?\s*\}"
)
CASES_AS_ARRAY = re.compile(
    r"\\\{\s*\\begin\{(array|aligned|matrix)\}(?:\{[^{}]*\})?(.*?)\\end\{\1\}(?!\s*\\\})", re.DOTALL
)
CHOOSE = re.compile(r"\{([^{}]*)\\choose(?![A-Za-z])([^{}]*)\}")
# What is no word: signs and numbers, and a letter that is no unit of a number before it.
UNWRAPPED_TEXT = re.compile(r"\\text\s*\{([^{}A-Za-z]*+)\}|(?<![\d})])(?<![\d})] )\\text\s*\{\s*([A-Za-z])\s*\}")
NAMED_OPERATOR = re.compile(r"\\text\s*\{\s*(max|min|sin|cos|tan|cot|sec|csc|log|ln|gcd|lcm|deg)\s*\}")
FRACTION = re.compile(r"\\[dtc]frac(?![A-Za-z])")
DEGREES = re.compile(
    r"\^\s*(?:\{\s*\\circ\s*\}|\\circ(?![A-Za-z]))|\\degree(?![A-Za-z])|\\deg(?![A-Za-z])|(?<=\d)\s*\\text\s*\{\s*degrees?\s*\}"
)
# A small o for the sign of degrees.
RAISED_O = re.compile(r"(?<=\d)\s*\^\s*(?:\{\s*o\s*\}|o(?![A-Za-z]))")
REPEATING = re.compile(
    r"(?<![\d.])(\d+|(?<![\w)}]))\.(\d*)(?:\\(?:overline|bar)\s*\{\s*(\d+)\s*\}|\\(?:overline|bar)\s*(\d)|\((\d+)\)"
    r"|\\dot\s*\{?(\d)\}?(?:(\d*)\\dot\s*\{?(\d)\}?)?)(?![\d])"
)
# 0.1666...: the digits that come three times, or the group that comes twice, go on.
GOES_ON = re.compile(
    r"(?<![\d.])(\d+)\.(\d*?)(?:(\d)(?:\3){2,}|(\d{2,6}?)(?:\4)+)\s*(?:\.{3}|…|\\[lc]?dots(?:[cbmi](?![A-Za-z]))?(?![A-Za-z]))"
)
AND_SO_ON = re.compile(r"(?<=\d)\s*(?:…|\\[lc]?dots(?![A-Za-z]))\s*\Z")
SCIENTIFIC = re.compile(r"(?<![\w.\\{])(\d+(?:\.\d+)?)[eE]([+-]?\d{1,3})()(?![\w.])")
# A decimal times a power of ten: as floats, 2.3 times 100000 is not 230000.
POWER_OF_TEN = re.compile(
    r"(?<![\w.\\^_/}])(\d*\.\d+)\s*(?:\\times|\\cdot|\*|x(?= ?10\^))\s*10\s*\^\s*(?:\{\s*([+-]?\d{1,2})\s*\}|(\d)(?!\d))"
)
ORDINAL = re.compile(
    r"(?<=\d)\s*(?:\^\s*)?(?:\{\s*)?(?:\\text(?:superscript)?\s*\{\s*)?(?:st|nd|rd|th)(?:\s*\})?(?:\s*\})?(?![A-Za-z])"
)
APPROXIMATELY = re.compile(r"^\s*(?:\\approx|\\simeq|\\sim|\\doteq|=|\\le?q?slant(?!.))(?![A-Za-z])\s*")
ABOUT = r"(?:about|approximately|approx\.?|around|roughly|nearly|exactly|precisely)"
SAID_ABOUT = re.compile(
    rf"^\s*(?:\\text\s*\{{\s*{ABOUT}\s*(?:(?P<number>\d[^{{}}]*)\}}|\}}(?!\s*\Z))|{ABOUT}(?=[^A-Za-z]+\S))\s*",
    re.IGNORECASE,
)
RATIO = re.compile(r"(\d+(?:\.\d+)?)\s*(?:\\text\s*\{\s*to\s*\}|\bto\b)\s*(\d+(?:\.\d+)?)")
NAMED_SETS = {
    r"\mathbb{R}": r"(?:all\s+)?(?:the\s+)?(?:set\s+of\s+)?(?:all\s+)?real(?:\s+numbers|s)",
    r"\emptyset ": r"(?:the\s+)?empty\s+set",
}
ABOUT_EQUAL = re.compile(r"\\(?:approx|simeq|doteq|equiv)(?![A-Za-z])")
PLUS_AT_START = re.compile(r"(?<=[(\[,;{])\s*\+\s*(?=[\d\\A-Za-z(.])|^\s*\+\s*(?=[\d\\A-Za-z(.])")
MULTIPLE_SPACES = re.compile(r"\s+")
LESS_SPACE = re.compile(r"\s*([,;])\s*")
EMPTY_SETS = re.compile(r"\\varnothing(?![A-Za-z])|\\\{\s*\\\}")


def normalised(text: str) -> str:
    """Return an answer in plain LaTeX that means the same."""
    if not text.isascii():
        text = _ascii(text)
    if "\\" in text or "~" in text:
        text = _plain_latex(text)
    text = RAISED_O.sub(r"^\\circ ", text)
    text = REPEATING.sub(_repeating, GOES_ON.sub(r"\1.\2(\3\4)", text))
    text = AND_SO_ON.sub("", text)
    text = POWER_OF_TEN.sub(_written_out, SCIENTIFIC.sub(_written_out, text))
    text = ORDINAL.sub("", text)
    text = APPROXIMATELY.sub("", SAID_ABOUT.sub(lambda found: found["number"] or "", text))
    text = _in_signs(text)
    text = PLUS_AT_START.sub("", text)
    text = MULTIPLE_SPACES.sub(" ", text).strip()
    while text.startswith("{") and argument(text, 0) == (text[1:-1], len(text)):
        text = text[1:-1].strip()
    return text


def _in_signs(text: str) -> str:
    """Return a ratio or a set that is said in words as its sign: `3 to 4` is 3:4."""
    if found := RATIO.fullmatch(text.strip()):
        return f"{found[1]}:{found[2]}"
    words = re.sub(r"\\text\s*\{([^{}]*)\}", r"\1", text).strip()
    return next((sign for sign, name in NAMED_SETS.items() if re.fullmatch(name, words, re.IGNORECASE)), text)


def _ascii(text: str) -> str:
    text = WIDE_SPACE.sub(" ", INVISIBLE.sub("", text)).translate(FULL_WIDTH)
    text = STYLED.sub(lambda found: unicodedata.normalize("NFKC", found[0]), text)
    text = ROOT_WITH_INDEX.sub(lambda found: {"³": "∛", "⁴": "∜"}[found[1]], text)
    text = RAISED.sub(lambda found: f"^{{{found[0].translate(SUPERSCRIPTS)}}}", text)
    text = LOWERED.sub(lambda found: f"_{{{found[0].translate(SUBSCRIPTS)}}}", text)
    text = "".join(_vulgar_fraction(character) for character in text)
    text = CURRENCY.sub(lambda found: f"{found[2]} \\text{{ {CURRENCIES[found[1]]}}}", text)
    text = CENTS.sub(r"\1 \\text{ cents}", text)
    text = PER_MILLE.sub(r"\\frac{\1}{1000}", text)
    text = re.sub(r"(?<=\d)\s*∘", "°", text)
    text = SYMBOL.sub(lambda found: SYMBOLS[found[0]], text)
    return ROOT.sub(lambda found: f"\\sqrt{ROOT_OF[found[1]]}{{{found[2] or found[3] or found[4]}}}", text)


def _vulgar_fraction(character: str) -> str:
    if not unicodedata.decomposition(character).startswith("<fraction>"):
        return character
    numerator, _, denominator = unicodedata.normalize("NFKC", character).partition("⁄")
    return f"\\frac{{{numerator}}}{{{denominator}}}"


def _plain_latex(text: str) -> str:
    if "\\begin" not in text:
        text = DOUBLED.sub("", text)
    text = SPACE.sub(" ", THOUSANDS.sub("", MATH_MODE.sub(" ", text)))
    text = NO_DELIMITER.sub("", text)
    text = SIZES.sub("", text)
    text = COLOURS.sub("", text)
    while found := DECORATIONS.search(text):
        content, end = argument(text, found.end())
        text = f"{text[: found.start()]}{_apart(content)}{text[end:]}"
    text = WORDS.sub(r"\\text{", text)
    text = TEXT.sub(_listed, text)
    text = re.sub(r"\\langle(?![A-Za-z])\s*", "(", re.sub(r"\s*\\rangle(?![A-Za-z])", ")", text))
    text = CASES_AS_ARRAY.sub(r"\\begin{cases}\2\\end{cases}", text.replace("{dcases}", "{cases}"))
    text = UNIT_FRACTION.sub(r" \\text{\1/\2}\3", FRACTION.sub(r"\\frac", text))
    text = NUMBER_IN_TEXT.sub(r"\1 \\text{\2}", text)
    text = CHOOSE.sub(r"\\binom{\1}{\2}", text).replace("\\colon", ":")
    text = NAMED_OPERATOR.sub(r"\\\1 ", text)
    text = UNWRAPPED_TEXT.sub(lambda found: (found[1] or "").strip() or found[2] or "", text)
    text = _with_braces(text)
    text = DEGREES.sub(r"^\\circ ", text)
    text = _exactly(text)
    text = EMPTY_SETS.sub(r"\\emptyset ", text)
    return re.sub(r"\\(leq|geq|neq)(?:slant)?(?![A-Za-z])", lambda found: f"\\{found[1][:2]}", text)


def _listed(found: re.Match[str]) -> str:
    r"""Return a list that stands in one text as several: `\text{3 apples and 4 pears}`, the `\text{ cm and }` of two lengths."""
    ends = re.search(r"\s(?:and|or)\s*\Z", found[1])
    if ("," not in found[1] and not re.search(r"\b(?:and|or)\b", found[1])) or (ends and not found["number"]):
        return found[0]
    first, *others = LIST_MARK.split(found[1].rstrip())
    parts = [f"\\text{{{first}}}"]
    for comma, word, part in zip(others[::3], others[1::3], others[2::3], strict=True):
        parts.append(", " if comma else f" \\text{{ {word} }} ")
        parts.append(f"\\text{{{part}}}" if part.strip() else "")
    return "".join(parts) + (found["number"] or "")


def _exactly(text: str) -> str:
    r"""Return `x \approx 3.14` as x = 3.14, and `\frac{1}{3} \approx 0.33` as what it is exactly."""
    exact, *about = ABOUT_EQUAL.split(text)
    if not about or not exact.strip():
        return text
    return exact.rstrip() if re.search(r"\d|=", exact) else f"{exact.rstrip()} = {about[0].lstrip()}"


def argument(text: str, at: int) -> tuple[str, int]:
    """Return what a command at this place takes: a group without its braces, a command, or one character; and its end."""
    while at < len(text) and text[at] == " ":
        at += 1
    if at >= len(text):
        return "", at
    if text[at] == "\\":
        found = re.compile(r"\\(?:[A-Za-z]+|.)").match(text, at)
        return (found[0], found.end()) if found else ("", at)
    if text[at] != "{":
        return text[at], at + 1
    depth = 0
    for place in range(at, len(text)):
        if text[place] in "{}" and (place == 0 or text[place - 1] != "\\"):
            depth += 1 if text[place] == "{" else -1
            if depth == 0:
                return text[at + 1 : place], place + 1
    return text[at + 1 :], len(text)


def _apart(content: str) -> str:
    """Return the content of a group so that what follows does not run into a command at its end."""
    return f"{content} " if re.search(r"\\[A-Za-z]+$", content) else content


def _with_braces(text: str) -> str:
    r"""Write \frac1c, \frac ab and \sqrt3 with their braces."""
    parts, at = [], 0
    for found in re.finditer(r"\\(frac|sqrt)(?![A-Za-z])\s*(\[[^\]]*\])?", text):
        if found.start() < at:
            continue
        whole, raised = f"\\{found[1]}{found[2] or ''}", text[: found.start()].rstrip().endswith("^")
        before, at = text[at : found.start()], found.end()
        for _ in range(2 if found[1] == "frac" else 1):
            content, at = argument(text, at)
            whole += f"{{{_with_braces(content)}}}"
        parts.append(before + (f"{{{whole}}}" if raised else whole))
    return "".join([*parts, text[at:]])


def _repeating(found: re.Match[str]) -> str:
    """Return a repeating decimal as the fraction that it is."""
    whole, start, group, digit, round_group, first, middle, last = found.groups()
    repeated = group or digit or round_group or "".join(part or "" for part in (first, middle, last))
    nines = int("9" * len(repeated) + "0" * len(start))
    numerator = int(whole + start + repeated) - int(whole + start or 0)
    return f"\\frac{{{numerator}}}{{{nines}}}"


def _written_out(found: re.Match[str]) -> str:
    return format(Decimal(found[1]).scaleb(int(found[2] or found[3])), "f")
