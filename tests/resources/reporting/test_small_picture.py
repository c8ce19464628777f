"""A picture that the Dagster page shows without a click."""

import base64
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from gsr_dagster.method.scoring.intervals import Interval
from resources.reporting.small_picture import small_intervals

intervals = (
    st.tuples(*[st.floats(-1, 1)] * 3).map(sorted).map(lambda bounds: Interval(bounds[1], bounds[0], bounds[2], 0.0))
)
rows = st.lists(st.tuples(st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), max_size=80), intervals))


def drawn(markdown: str) -> ElementTree.Element:
    return ElementTree.fromstring(base64.b64decode(markdown.partition("base64,")[2].rstrip(")")))


@given(rows)
def test_it_is_short_enough_to_be_shown_and_says_what_it_leaves_out(said):
    markdown = small_intervals(said)
    assert len(markdown) < 1000
    if not said:
        assert markdown == ""
        return
    picture = [part for part in drawn(markdown).iter() if part.tag.endswith("text")]
    left_out = [text.text for text in picture if len(text) == 0]
    shown = len(picture) - len(left_out)
    assert shown >= 1
    assert left_out == ([f"and {len(said) - shown} more"] if shown < len(said) else [])


def test_students_of_a_usual_experiment_all_stand_in_it():
    said = [
        (f"knights-knaves, smollm2-135m-{name}", Interval(0.05, -0.01, 0.1, 0.03)) for name in ("gsr", "direct", "mix")
    ]
    texts = ["".join(text.itertext()) for text in drawn(small_intervals(said)).iter() if text.tag.endswith("text")]
    assert len(texts) == 3
    assert texts[0].endswith("+5.0")
