"""A text in pieces is the text, whatever it holds and wherever it stops."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gsr_dagster.answering.growing import Growing, parted
from gsr_dagster.answering.refusals import RefusedError

END = "</think>"
TEXTS = st.lists(st.sampled_from(["a", " ", "\n", "b.", "</", "think>", END, "é", "STOP"]), max_size=12).map("".join)


@given(TEXTS, st.lists(st.integers(0, 60), max_size=6), st.sampled_from([None, END]))
def test_the_pieces_are_the_parts_of_the_whole(text, places, end):
    growing = Growing(end, stop=["STOP"])
    pieces = [growing.new(text[:place]) for place in sorted(places)] + [growing.new(text, whole=True)]
    assert tuple("".join(piece) for piece in zip(*pieces, strict=True)) == parted(text, end)


def test_a_stop_string_that_is_only_begun_is_not_sent():
    growing = Growing(None, stop=["Human: yes"])
    assert "".join(growing.new("It is seven. Human: ye"[:place])[1] for place in range(23)) == "It is seven."


def test_a_text_that_is_begun_anew_is_no_answer():
    growing = Growing(None, stop=[])
    growing.new("It is seven, as I see it.")
    assert growing.new("I am not so sure of that.") == ("", "")
    with pytest.raises(RefusedError, match="ask again"):
        growing.new("I am not so sure of that.", whole=True)
