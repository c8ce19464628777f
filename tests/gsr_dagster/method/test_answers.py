import time
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gsr_dagster.method.answers import choice_letter, final_answer, truth_assignment
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


@pytest.mark.parametrize(
    ("answer", "letter"),
    [("B", "B"), ("(c) 12", "C"), ("\\text{D}", "D"), ("**A**", "A"), ("all of them", None), ("12", None)],
)
def test_a_choice_is_its_letter(answer, letter):
    assert choice_letter(answer) == letter


@given(st.lists(st.sampled_from(["a", "b", "c", None]), max_size=8))
def test_a_vote_has_a_winner_where_one_class_alone_has_the_most(classes):
    winner = vote_winner(classes)
    sure = [c for c in "abc" if majority_vote(classes, c) == 1]
    assert ([winner] if winner else []) == sure
