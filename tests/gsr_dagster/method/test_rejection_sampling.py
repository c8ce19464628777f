"""What a finish reason means, by whatever name a server has for it, and which samples teach."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gsr_dagster.method.rejection_sampling import cut_off, ended_by_itself, ending, teaches


@pytest.mark.parametrize("reason", ["stop", "STOP", "eos_token", "stop_sequence", "end_turn", "COMPLETE"])
def test_a_text_that_ended_by_itself_teaches_if_it_is_right(reason):
    assert ending(reason) == "ended by itself"
    assert teaches({"correct": True, "finish_reason": reason})
    assert not teaches({"correct": False, "finish_reason": reason})


@pytest.mark.parametrize("reason", ["length", "max_tokens", "MAX_TOKENS", "model_length"])
def test_a_text_that_a_limit_cut_off_never_teaches(reason):
    assert ending(reason) == "cut off by the token limit"
    assert not teaches({"correct": True, "finish_reason": reason})


@pytest.mark.parametrize(
    "reason", ["content_filter", "error", "abort", "refusal", "tool_calls", "unasked", "unknown", "repetition", ""]
)
def test_a_text_that_anything_else_broke_off_is_named_and_never_teaches(reason):
    assert ending(reason) == f"broken off ({reason})"
    assert not teaches({"correct": True, "finish_reason": reason})


@given(st.text())
def test_every_finish_reason_has_one_meaning(reason):
    meanings = [ended_by_itself(reason), cut_off(reason), ending(reason).startswith("broken off")]
    assert sum(meanings) == 1
