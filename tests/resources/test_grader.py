import threading
import time

import pytest

from resources.grader import Grader, Question

MATH = {
    "half": Question("\\frac{1}{2}", "math"),
    "seven": Question("7", "math"),
    "tuple": Question("(1, 2)", "math"),
}


def verdicts(question: str, *answers: str | None) -> list[tuple[str, int | None]]:
    grades = Grader().grade("test", MATH, [(question, answer) for answer in answers])
    return [(grade.verdict, grade.answer_class) for grade in grades]


def test_equal_answers_share_a_class_and_the_gold_is_class_0():
    assert verdicts("half", "0.5", "\\frac{2}{4}", "0.25", "\\frac14", "3", None) == [
        ("correct", 0),
        ("correct", 0),
        ("incorrect", 1),
        ("incorrect", 1),
        ("incorrect", 2),
        ("no answer", None),
    ]


@pytest.mark.parametrize("answer", ["7", "+7", "7.0", "\\boxed{7}", "$7$"])
def test_a_number_is_right_in_any_usual_form(answer):
    assert verdicts("seven", answer) == [("correct", 0)]


@pytest.mark.parametrize("answer", ["70", "-7", "(2, 1)", "seven of them?"])
def test_another_answer_is_wrong(answer):
    assert verdicts("seven", answer)[0][0] == "incorrect"


def test_an_answer_that_hangs_is_killed_and_takes_no_other_with_it():
    started = time.monotonic()
    grades = Grader(seconds=3).grade("test", MATH, [("seven", "9^{9^{9^{9}}}"), ("seven", "7"), ("tuple", "(1,2)")])
    assert [grade.verdict for grade in grades] in (
        ["timed out", "correct", "correct"],
        ["incorrect", "correct", "correct"],
    )
    assert time.monotonic() - started < 30


def test_grading_works_in_another_thread_than_the_main_one():
    results = []
    thread = threading.Thread(target=lambda: results.extend(verdicts("seven", "7", "8")))
    thread.start()
    thread.join(60)
    assert results == [("correct", 0), ("incorrect", 1)]


def test_knights_and_knaves_want_everyone_named_rightly():
    island = {"k": Question("Zoey is a knight, and Riley is a knave.", "knights_knaves")}
    answers = ["Riley is a knave and Zoey is a knight", "Zoey is a knight", "Zoey is a knave, Riley is a knave"]
    grades = Grader().grade("test", island, [("k", answer) for answer in answers])
    assert [grade.verdict for grade in grades] == ["correct", "incorrect", "incorrect"]
    assert len({grade.answer_class for grade in grades}) == 3
