r"""TeX within a text as MathML, which browsers draw by themselves: no script, and nothing is loaded.

>>> print(rendered("1 < $x^2$"))
1 &lt; <math xmlns="http://www.w3.org/1998/Math/MathML" display="inline"><mrow><msup><mi>x</mi><mn>2</mn></msup></mrow></math>
"""

import re
from functools import lru_cache
from xml.etree import ElementTree

from latex2mathml.converter import convert
from markupsafe import Markup, escape

MATHML = "{http://www.w3.org/1998/Math/MathML}"
# What a formula may be made of. The converter passes on what stands in \text and \href as it is.
ELEMENTS = frozenset(
    [
        "math",
        "mrow",
        "mi",
        "mn",
        "mo",
        "ms",
        "mtext",
        "mspace",
        "msup",
        "msub",
        "msubsup",
        "mfrac",
        "msqrt",
        "mroot",
        "mover",
        "munder",
        "munderover",
        "mtable",
        "mtr",
        "mtd",
        "mstyle",
        "mpadded",
        "mphantom",
        "menclose",
        "mfenced",
        "mprescripts",
        "mmultiscripts",
        "none",
    ]
)
ATTRIBUTES = frozenset(
    [
        "display",
        "stretchy",
        "fence",
        "form",
        "accent",
        "accentunder",
        "columnalign",
        "columnspacing",
        "rowspacing",
        "displaystyle",
        "scriptlevel",
        "mathvariant",
        "width",
        "height",
        "depth",
        "lspace",
        "rspace",
        "linethickness",
        "minsize",
        "maxsize",
        "movablelimits",
        "separator",
        "notation",
        "columnlines",
        "rowlines",
        "largeop",
        "symmetric",
    ]
)
LONGEST_FORMULA = 2000
# A brace that is written, and holds nothing together.
WRITTEN_BRACE = re.compile(r"\\[{}]")
DELIMITED = re.compile(
    r"\$\$(?P<a>.+?)\$\$|\\\[(?P<b>.+?)\\\]|\\\((?P<c>.+?)\\\)|(?<![\\$])\$(?P<d>[^$\n]+?)(?<!\\)\$(?!\d)", re.DOTALL
)


def rendered(text: str) -> Markup:
    """Return a text as HTML, its formulas drawn. A formula that cannot be read stays as it was written."""
    html, written = Markup(), 0
    for found in DELIMITED.finditer(text):
        block = found["a"] or found["b"]
        tex = block or found["c"] or found["d"]
        html += escape(text[written : found.start()]) + (formula(tex, block is not None) or escape(found[0]))
        written = found.end()
    return html + escape(text[written:])


@lru_cache(maxsize=4096)
def formula(tex: str, block: bool = False) -> Markup | None:
    """Return TeX as MathML, None where it cannot be read, or holds what is no formula."""
    grouping = WRITTEN_BRACE.sub("", tex)
    if len(tex) > LONGEST_FORMULA or grouping.count("{") != grouping.count("}"):
        return None
    try:
        drawn = convert(tex, display="block" if block else "inline")
        parsed = ElementTree.fromstring(drawn)
    except Exception:  # whatever the converter raises: no text ends a page
        return None
    if not all(_is_mathematics(element) for element in parsed.iter()) or "\\" in "".join(parsed.itertext()):
        return None
    return Markup(drawn)


def _is_mathematics(element: ElementTree.Element) -> bool:
    return element.tag.removeprefix(MATHML) in ELEMENTS and ATTRIBUTES.issuperset(element.attrib)
