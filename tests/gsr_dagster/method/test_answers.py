import time
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gsr_dagster.method.answers import final_answer, truth_assignment
from gsr_dagster.method.voting import majority_vote, vote_winner


@pytest.mark.parametrize(
    ("summary", "answer"),
    [
        ("so \\boxed{12}.", "12"),
        ("first \\boxed{1}, but then \\boxed{\\frac{1}{2}}", "\\frac{1}{2}"),
        ("cut off in \\boxed{3", None),
        ("kept \\boxed{3}, cut off in \\boxed{4", "3"),
        ("empty \\boxed{}", None),
        ("The answer is 42.", "42"),
        ("**Answer:** 7", "7"),
        ("The answer is $6 + 9i$. Let me check that.", "$6 + 9i$"),
        ("\\boxed{1} and $\\boxed{-2}$.", "1, -2"),
        ("\\boxed{5}, \\text{or} \\boxed{5}", "5"),
        ("\\boxed{3}. Yet \\boxed{5}", "5"),
        ("x = 3.\nSo she walks for 36 miles.", None),
        ("So, the number of miles is 36 miles.\n", "36"),
        ("The difference is 8 - 4 = 4.", "4"),
        ("Then 0 = 2\\sqrt{", None),
        ("no answer here", None),
        ("", None),
        (None, None),
    ],
)
def test_the_answer_is_the_last_closed_box_or_what_a_closing_phrase_says(summary, answer):
    assert final_answer(summary) == answer


@pytest.mark.parametrize(
    ("summary", "answer"),
    [
        ("Final Answer: The final answer is $18$. I hope it is correct.", "18"),
        ("9 + 9 = 18 eggs.\n#### 18", "18"),
        ("#### 18\n\nQ: How many are left?", "18"),
        ("####1,008", "1,008"),
        ("#### **18**", "18"),
        ("9 + 9 = 18 eggs. #### 18", "18"),
        ("write it after #### as asked", None),
        ("####\n18", "18"),
        ("A:\n18", "18"),
        ("__Answer__: 18", "18"),
        ("Ans.: 18", "18"),
        ("FINAL ANSWER\n18", "18"),
        ("Answer\nThe team wins.", None),
        ("<ANSWER>18</ANSWER>", "18"),
        ("The answer is therefore 18.", "18"),
        ("The answer is given by $18$.", "18"),
        ("Hence the answer is 18, as required.", "18"),
        ("The answer is $\\frac12$, which is less than 1.", "$\\frac12$"),
        ("The answer is 18, in \\boxed{}.", "18"),
        ("Is the answer 5? The answer is **18**!", "18"),
        ("The final answer is $(1,2)$.I hope it is correct.", "$(1,2)$"),
        ("Answer: The number is 18.", "18"),
        ("#### 2. Add the parts\nThe parts come next", None),
        ("#### Step 1: the parts\nThe parts come next", None),
        ("A: 18", "18"),
        ("Q: How many?\nA: 18 eggs.", "18 eggs"),
        ("A: 18\nB: 20\nC: 22", None),
        ("The answer is: **45**", "45"),
        ("The answer is **45**. I am sure.", "45"),
        ("**The answer is 45.**", "45"),
        ("**The answer is:** 45", "45"),
        ("### FINAL ANSWER:\nANSWER: 5", "5"),
        ("the final answer is:\n\nANSWER: 322", "322"),
        ("Answer:\n42", "42"),
        ("**Answer**: 7", "7"),
        ("\\textbf{Answer:} 7", "7"),
        ("$\\text{The answer is } 42$", "42"),
        ("ANSWER: $\\frac12$.", "$\\frac12$"),
        ("## Answer\n42", "42"),
        ("**Final Answer**\n\n$42$\n", "42"),
        ("The final answer is\n$$\n42\n$$\nas asked", "42"),
        ("So the answer is \\[ \\frac{1}{2} \\]", "\\frac{1}{2}"),
        ("The answer is (C).", "(C)"),
        ("The answer is option (b)", "option (b)"),
        ("Answer：42", "42"),
        ("<answer>42</answer>", "42"),
        ("The answer to the problem is 42.", "42"),
        ("The answers are 3 and 5.", "3 and 5"),
        ("Therefore, the answer is 5 apples.", "5 apples"),
        ("The answer is .5", ".5"),
        ('The answer is "yes".', "yes"),
        ("The answer is 5. Wait, the answer is 6.", "6"),
        ("The answer is 42. This answer is consistent with part 1.", "42"),
        ("The answer is 42.\nSo the answer is the same.", "42"),
        ("The answer is that she has walked for a total that is 36.", "36"),
        ("The answer isn't 5", None),
        ("The answer is not 5", None),
        ("The answer is", None),
        ("The answer is \\boxed{3", None),
        ("The answer is 42, and it is in \\boxed{", "42, and it is in \\boxed{"),
        ("42", "42"),
        ("$42$.", "42"),
    ],
)
def test_an_answer_is_read_where_a_phrase_announces_it(summary, answer):
    assert final_answer(summary) == answer


@pytest.mark.parametrize(
    ("summary", "answer"),
    [
        ("\\boxed{ANSWER: 322}", "322"),
        ("\\boxed{\\text{ANSWER: } 322}", "322"),
        ("\\boxed{\\text{ANSWER: 322}}", "322"),
        ("\\boxed{\\text{Final Answer: } 7}", "7"),
        ("\\boxed{\\textbf{Answer}: x + 5}", "x + 5"),
        ("\\boxed{\\text{The answer is } \\frac{1}{2}}", "\\frac{1}{2}"),
        ("\\boxed{\\text{Answer: east}}", "\\text{east}"),
        ("\\boxed{42}, as asked, in \\boxed{}.", "42"),
        ("\\boxed{42}, as asked, in \\boxed{\\text{answer}}.", "42"),
        ("\\boxed{42}, as asked, in \\boxed{...}.", "42"),
        ("\\boxed{42}, as asked, in \\boxed{your answer here}.", "42"),
        ("\\boxed{42}, as asked, in \\boxed{\\phantom{0}}.", "42"),
        ("The answer is 42, and \\boxed{ } was asked for. The answer is 42.", "42"),
        ("\\boxed {42}", "42"),
        ("\\boxed\n{42}", "42"),
        ("$\\boxed 42$", "42"),
        ("\\fbox{42}", "42"),
        ("\\boxed{\\boxed{5}}", "5"),
        ("\\boxed{1}, \\fbox{2} and \\boxed {3}", "1, 2, 3"),
    ],
)
def test_a_box_is_read_however_it_is_written(summary, answer):
    assert final_answer(summary) == answer


@pytest.mark.parametrize(
    ("sentence", "answer"),
    [
        ("60% of the students like tea.", "60"),
        ("Therefore, 115 students take physics.", "115"),
        ("$\\frac{3}{5}$ of them do.", "\\frac{3}{5}"),
        ("\\$36 remain.", "36"),
        ("60% of the students like tea", None),  # cut off
        ("60% of the 30 students like tea.", None),
        ("12 is not a solution.", None),
        ("The price is $36.", "36"),
        ("So the number of miles is **36**.", "36"),
        ("So she walks for 36 miles.", None),
    ],
)
def test_a_closing_sentence_has_an_answer_where_it_ends_with_or_speaks_of_its_only_number(sentence, answer):
    assert final_answer(f"We count them.\n\n{sentence}") == answer


DRESSES = ("{}", "**{}**", "*{}*", "`{}`", '"{}"', "${}$", "\\({}\\)", "{}.", "**{}.**", "  {}  ")
PHRASES = (
    "The answer is {}", "the final answer is: {}", "Final Answer: {}", "**Answer:** {}", "### ANSWER:\n\n{}", "#### {}",
    "A: {}", "Final Answer: The final answer is {}", "\\boxed{{42}} no: \\boxed{{{}}}", "<answer>{}</answer>",
)  # fmt: skip


@given(st.integers(-9999, 9999), st.sampled_from(DRESSES), st.sampled_from(PHRASES), st.sampled_from(["", "\n", " "]))
def test_a_number_is_the_same_answer_in_every_dress_behind_every_phrase(number, dress, phrase, after):
    said = final_answer("We add 3 and 4.\n" + phrase.format(dress.format(number)) + after)
    assert said
    assert said.strip('$().* `"\\') == str(number)


@given(st.text(alphabet="ab{}", max_size=12))
def test_a_box_is_read_whole_where_its_content_is_balanced(content):
    depth, balanced = 0, True
    for character in content:
        depth += {"{": 1, "}": -1}.get(character, 0)
        balanced = balanced and depth >= 0
    if balanced and depth == 0:
        assert final_answer(f"x \\boxed{{{content}}} y") == (content.strip() or None)


@pytest.mark.parametrize("piece", ["\\boxed{", "{", "is 1 ", "$", "= $", "the answer is "])
def test_an_endless_text_is_read_in_no_time(piece):
    started = time.process_time()
    final_answer(piece * (100_000 // len(piece)))
    assert time.process_time() - started < 5


@given(st.lists(st.sampled_from(["a", "b", "c", None]), max_size=7))
def test_a_vote_is_the_expectation_over_every_way_to_break_its_tie(classes):
    voting = [c for c in classes if c is not None]
    most = max((voting.count(c) for c in voting), default=0)
    winners = sorted({c for c in voting if voting.count(c) == most})
    expected = sum(w == "a" for w in winners) / len(winners) if winners else 0.0
    assert majority_vote(classes, "a") == expected


def test_without_a_correct_class_a_vote_scores_nothing():
    assert all(majority_vote(classes, None) == 0 for classes in product("ab", repeat=3))


def test_an_assignment_is_read_in_any_order_and_case():
    said = truth_assignment("Riley is a knave, and Zoey is a Knight.")
    assert said == truth_assignment("zoey is a knight; riley is a knave")
    assert said != truth_assignment("Zoey is a knight.")
    assert not truth_assignment("Zoey is a knight/knave")
    assert said == truth_assignment("\\text{**Zoey** is a **knight**, and $Riley$ is a knave}")


@given(st.lists(st.sampled_from(["a", "b", "c", None]), max_size=8))
def test_a_vote_has_a_winner_where_one_class_alone_has_the_most(classes):
    winner = vote_winner(classes)
    sure = [c for c in "abc" if majority_vote(classes, c) == 1]
    assert ([winner] if winner else []) == sure
