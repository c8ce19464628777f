import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gsr_dagster.method.answers import answer_of, final_choice
from gsr_dagster.method.choices import choice_letter


@pytest.mark.parametrize(
    ("answer", "letter"),
    [
        ("B", "B"), ("(c) 12", "C"), ("\\text{D}", "D"), ("**A**", "A"), ("all of them", None), ("12", None),
        ("\\mathrm{C}", "C"), ("\\mathbf{C}", "C"), ("(\\text{C})", "C"), ("\\text{Option C}", "C"), ('"C"', "C"),
        ("Answer: C", "C"), ("I think B", "B"), ("I'm sure it is D", "D"), ("I", "I"), ("(I)", "I"), ("a", "A"),
        ("\\textbf{(C) } 12", "C"), ("\\left(C\\right)", "C"), ("C: Paris", "C"), ("C - Paris", "C"), ("C 12", "C"),
        ("（Ｃ）", "C"), ("option (b)", "B"), ("C because of that", "C"), ("A because of that", "A"), ("D. A and B", "D"),
        ("not B but C", "C"), ("C (not B)", "C"), ("A triangle", None), ("a triangle", None), ("I think", None),
        ("A, B", None), ("A and C", None), ("B or C", None), ("(A) (B)", None), ("Both A and C", None), ("AB", None),
        ("\\color{red}{\\text{C}}", "C"), ("\\{C\\}", "C"), ("12 V", None), ("F = ma", None), ("x + 1", None), ("None", None), ("", None),
    ],
)  # fmt: skip
def test_a_choice_is_the_one_letter_that_it_names(answer, letter):
    assert choice_letter(answer) == letter


@pytest.mark.parametrize(
    ("summary", "letter"),
    [
        ("\\boxed{C}", "C"),
        ("It is 17: \\boxed{17}. So the answer is (C).", "C"),
        ("The answer is C: \\boxed{17}", "C"),
        ("\\boxed{B}, that is \\boxed{17}", "B"),
        ("The answer is not obvious. The rest is long. Answer: C", "C"),
        ("The correct option is C.", "C"),
        ("Therefore, option C is correct.", "C"),
        ("(B) is the right answer.", "B"),
        ("I'd go with D.", "D"),
        ("A: 5\nB: 6\nThe answer is B", "B"),
        ("Let me see.\n\n**(C)**", "C"),
        ("I think B.", "B"),
        ("The best answer is **D**. A is wrong.", "D"),
        ("#### C", "C"),
        ("<answer>C</answer>", "C"),
        ("\\boxed{A} or \\boxed{B}", None),
        ("\\boxed{17}", None),
        ("The answer is 17.", None),
        ("", None),
        (None, None),
    ],
)
def test_a_box_that_holds_no_letter_yields_to_a_letter_that_is_said(summary, letter):
    assert choice_letter(final_choice(summary) or "") == letter


def test_without_a_letter_the_answer_stays_what_was_said():
    assert final_choice("so \\boxed{17}") == "17"


def test_only_multiple_choice_looks_for_a_letter():
    text = "It is $\\boxed{17}$. So the answer is (C)."
    assert (answer_of(text, "math"), answer_of(text, "multiple_choice")) == ("17", "(C)")


WRAPPED = ("{}", "({})", "{}.", "{})", "**{}**", "${}$", "\\text{{{}}}", "\\textbf{{({})}}", "\\mathrm{{{}}}", '"{}"',
           "Option {}", "option ({})", "Answer: {}", "\\text{{Choice }}{}", "The answer is {}", "{}: twelve apples")  # fmt: skip


@given(st.sampled_from("BCDEFGHIJ"), st.sampled_from(WRAPPED), st.sampled_from(WRAPPED[:9]))
def test_a_letter_is_the_same_in_every_dress(letter, outer, inner):
    assert choice_letter(outer.format(inner.format(letter))) == letter


@pytest.mark.parametrize(
    "piece", ["A ", "(A) ", "\\boxed{x y} ", "C is ", "answer: ", "#### 5\n", "I choose ", "\\text{", "not B "]
)
def test_an_endless_text_is_searched_for_its_letter_in_no_time(piece):
    text = piece * ((1 << 20) // len(piece))
    started = time.process_time()
    final_choice(text)
    choice_letter(text)
    assert time.process_time() - started < 5
