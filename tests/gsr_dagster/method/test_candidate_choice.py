import pytest
from hypothesis import given
from hypothesis import strategies as st

from gsr_dagster.method.candidate_choice import chosen_candidate, consistency_messages, selection_messages

SUMMARIES = ["It is \\boxed{7}.", "It is \\boxed{9}.", "(no answer)"]


@pytest.mark.parametrize("messages", [selection_messages, consistency_messages])
def test_the_prompt_shows_the_problem_and_every_numbered_response_and_asks_for_a_number(messages):
    (message,) = messages("What is 3 + 4? {k}", SUMMARIES)
    assert "What is 3 + 4? {k}" in message["content"]
    assert all(f"Response {i}:\n{text}" in message["content"] for i, text in enumerate(SUMMARIES, start=1))
    assert "1 to 3, alone in a box: \\boxed{N}" in message["content"]


def test_the_two_prompts_ask_for_different_things():
    assert selection_messages("p", SUMMARIES) != consistency_messages("p", SUMMARIES)


@given(st.integers(1, 16), st.integers(-3, 20))
def test_a_number_is_a_choice_where_there_is_such_a_candidate(k, number):
    chosen = chosen_candidate(f"Their sums differ. \\boxed{{{number}}}", k)
    assert chosen == (number - 1 if 1 <= number <= k else None)


@pytest.mark.parametrize(
    ("summary", "chosen"),
    [
        ("\\boxed{\\text{Response 2}}", 1),
        ("\\boxed{1} at first, but no: \\boxed{3}", 2),
        ("The answer is Response 4.", 3),
        ("\\boxed{2.5}", None),
        ("\\boxed{\\frac{1}{2}}", None),
        ("\\boxed{1}, \\boxed{2}", None),
        ("\\boxed{the second}", None),
        ("\\boxed{-2}", None),
        ("I take 2", None),
        (f"\\boxed{{{'2' * 10_000}}}", None),
        ("", None),
        (None, None),
    ],
)
def test_what_names_no_single_candidate_is_no_choice(summary, chosen):
    assert chosen_candidate(summary, k=4) == chosen
