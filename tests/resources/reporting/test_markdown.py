"""Strangers' texts in Markdown: shown as they are, with nothing that marks up, links or ends what stands around them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resources.reporting.markdown import code, fenced, plain


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("qwen2.5-7b", "qwen2.5-7b"),
        ("a_b", r"a\_b"),
        ("<script>", r"\<script\>"),
        ("| cell", r"\| cell"),
        ("![x](http://a.b)", r"\!\[x\](http\://a.b)"),
        ("two\nlines", "two lines"),
        ("# head", r"\# head"),
        ("&amp;", r"\&amp;"),
        ("\\_", r"\\\_"),
        ("\u202eturned", r"\\u202eturned"),
        ("www.x.com and @someone", r"www\.x.com and \@someone"),
    ],
)
def test_a_mark_is_written_as_itself(text, written):
    assert plain(text) == written


@given(st.text())
def test_a_block_of_code_ends_where_its_text_ends(text):
    fence, *inside, end = fenced(text).split("\n")
    assert "\n".join(inside) == text
    assert fence == f"{end}text"
    assert not any(end in line for line in inside)


@given(st.text())
def test_a_span_of_code_is_closed_by_its_own_ticks_alone(text):
    span = code(text)
    ticks = span[: len(span) - len(span.lstrip("`"))]
    assert span.endswith(ticks)
    assert ticks not in span[len(ticks) : -len(ticks)]
    assert "\n" not in span
