"""Formulas within texts that strangers wrote."""

from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gsr_dagster.viewing.pages.mathematics import ELEMENTS, MATHML, formula, rendered


@pytest.mark.parametrize(
    "text", [r"$\frac{1}{2}$", r"\(x^2\)", r"$$\int_0^1 x\,dx$$", r"\[\begin{pmatrix}1&2\\3&4\end{pmatrix}\]"]
)
def test_a_formula_is_drawn_in_each_kind_of_delimiters(text):
    html = rendered(f"Let {text} be.")
    assert html.startswith("Let <math")
    assert html.endswith("</math> be.")


@pytest.mark.parametrize("text", ["It costs $5 and $6.", "a \\$ sign", "100$", "$", "$$", "one\n$\ntwo\n$"])
def test_dollars_that_are_none_stay(text):
    assert rendered(text) == text


@pytest.mark.parametrize(
    "tex",
    [
        r"\text{<script>alert(1)</script>}",
        r"\href{javascript:alert(1)}{x}",
        r"\text{<img src=x onerror=alert(1)>}",
        r"\text{</mtext></math><script>alert(1)</script>}",
        "{" * 3000,
        r"\frac{1",
        r"\unknowncommand{3}",
    ],
)
def test_what_is_no_formula_stays_as_text(tex):
    assert formula(tex) is None
    assert "<script" not in rendered(f"${tex}$")
    assert "<img" not in rendered(f"${tex}$")


@given(st.text(alphabet="\\{}^_<>&\"'$ax1 ()[]frtexh", max_size=40))
def test_whatever_is_drawn_is_mathematics_and_nothing_else(tex):
    drawn = formula(tex)
    if drawn is not None:
        names = {element.tag.removeprefix(MATHML) for element in ElementTree.fromstring(str(drawn)).iter()}
        assert names <= ELEMENTS
