import multiprocessing
import os
import signal
import threading
import time

import pytest

from resources.grading import grader
from resources.grading.grader import Grader, Reference, grader_version
from resources.grading.judgements import KeptJudgements
from resources.grading.worker import Judgement

MATH = {
    "half": Reference("\\frac{1}{2}", "math"),
    "seven": Reference("7", "math"),
    "tuple": Reference("(1, 2)", "math"),
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


def test_what_no_clock_can_stop_is_killed_and_takes_no_other_with_it(monkeypatch):
    """A C call that never returns: the worker's clock cannot stop it, the parent kills it and its successor answers."""
    hangs = Reference("1", "hangs")
    monkeypatch.setattr(grader, "judge", hang_on_nine)
    started = time.monotonic()
    grades = Grader(seconds=2).grade("test", {"h": hangs}, [("h", "9"), ("h", "1"), ("h", "2")])
    assert [grade.verdict for grade in grades] == ["timed out", "correct", "incorrect"]
    assert len({grade.answer_class for grade in grades}) == 3
    assert time.monotonic() - started < 30


def hang_on_nine(_grader: str, _domain: str, gold: str, answers: list[str], _wrong: list[str]) -> list[Judgement]:
    if "9" in answers:
        9**9**9**9
    return [Judgement("correct" if answer == gold else "incorrect", answer) for answer in answers]


def test_grading_goes_on_after_all_its_processes_died():
    assert verdicts("seven", "7.00") == [("correct", 0)]
    pool = grader._pool()
    for pid in list(pool._pool_manager.worker_manager.workers):
        os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 30
    while pool.active and time.monotonic() < deadline:
        time.sleep(0.1)
    assert verdicts("seven", "7.000", "8.0") == [("correct", 0), ("incorrect", 1)]


def test_what_takes_long_is_stopped_by_the_workers_own_clock():
    started = time.monotonic()
    answers = [("seven", "\\sum_{k=1}^{9999} k^{k}"), ("seven", "\\prod_{k=1}^{9999} k!"), ("seven", "7")]
    grades = Grader(seconds=60).grade("test", MATH, answers)
    assert [grade.verdict for grade in grades] == ["timed out", "timed out", "correct"]
    assert time.monotonic() - started < 30


def test_a_gold_that_is_no_mathematics_leaves_its_answers_unscored():
    golds = {
        "words": Reference("f(x)=a x+b, where b is an integer with \\mho(a)=0 (", "math"),
        "none": Reference("", "math"),
    }
    grades = Grader().grade("test", golds, [("words", "7"), ("none", "7"), ("words", None)])
    assert {(g.verdict, g.answer_class) for g in grades} == {("gold unparseable", None)}


@pytest.mark.parametrize("name", ["math-verify", "exact"])
def test_so_it_does_where_none_of_them_has_an_answer(name):
    questions = {"odd": Reference("\n", "math"), "seven": Reference("7", "math")}
    grades = Grader(name=name).grade("test", questions, [("odd", None), ("seven", None)])
    assert [grade.verdict for grade in grades] == ["gold unparseable", "no answer"]


def test_each_pair_of_gold_and_answer_is_judged_once_and_later_answers_join_the_classes():
    question = {"p": Reference("1/7", "math"), "q": Reference("1/7", "math")}
    first = Grader().grade("test", question, [("p", "2/7"), ("p", "3/7"), ("q", "3/7")])
    submitted = []
    again = Grader()
    object.__setattr__(
        again, "_submit", lambda q, answers: submitted.append(answers) or Grader._submit(again, q, answers)
    )
    second = again.grade("test", question, [("p", "2/7"), ("p", "6/14"), ("p", "4/7"), ("p", "3/7")])
    assert submitted == [["6/14", "4/7"]]
    assert [g.answer_class for g in first] == [1, 2, 1]
    assert [g.answer_class for g in second] == [1, 2, 3, 2]


def test_what_another_process_judged_meanwhile_is_taken_and_gone_on_with():
    question = Reference("1/13", "math")
    Grader().grade("test", {"p": question}, [("p", "2/26"), ("p", "3/5")])
    kept = KeptJudgements(grader_version("math-verify"))
    theirs = {"6/10": Judgement("incorrect", "6/10"), "3/5": Judgement("incorrect", "6/10")}
    kept.path.unlink()
    kept.keep({question.name: theirs})
    submitted = []
    again = Grader()
    object.__setattr__(
        again, "_submit", lambda q, answers: submitted.append(answers) or Grader._submit(again, q, answers)
    )

    grades = again.grade("test", {"p": question}, [("p", "3/5"), ("p", "6/10"), ("p", "9/15"), ("p", "2/26")])

    assert submitted == [["9/15", "2/26"]]
    assert [grade.answer_class for grade in grades] == [1, 1, 1, 0]
    entry = kept.read([question.name])[question.name]
    assert {answer: judged.same_as for answer, judged in entry.items()} == {
        **dict.fromkeys(["3/5", "6/10", "9/15"], "6/10"),
        "2/26": "1/13",
    }


def test_an_answer_that_could_not_be_read_does_not_stand_in_the_way_of_later_ones():
    question = {"p": Reference("1/11", "math")}
    assert [g.verdict for g in Grader().grade("test", question, [("p", "$ $"), ("p", "x" * 2000)])] == [
        "unreadable"
    ] * 2
    assert [g.verdict for g in Grader().grade("test", question, [("p", "2/22"), ("p", "$ $")])] == [
        "correct",
        "unreadable",
    ]


def test_the_exact_grader_compares_text():
    grades = Grader(name="exact").grade("test", MATH, [("half", "\\frac{1} {2}"), ("half", "0.5")])
    assert [grade.verdict for grade in grades] == ["correct", "incorrect"]
    assert grader_version("exact") != grader_version("math-verify")
    assert "0.9.0" in grader_version("math-verify")


def test_a_choice_is_graded_by_its_letter():
    grades = Grader().grade(
        "test", {"c": Reference("B", "multiple_choice")}, [("c", "(b) 12"), ("c", "C"), ("c", "both")]
    )
    assert [grade.verdict for grade in grades] == ["correct", "incorrect", "unreadable"]


def test_grading_works_in_another_thread_than_the_main_one():
    results = []
    thread = threading.Thread(target=lambda: results.extend(verdicts("seven", "7", "8")))
    thread.start()
    thread.join(60)
    assert results == [("correct", 0), ("incorrect", 1)]


def test_knights_and_knaves_want_everyone_named_rightly():
    island = {"k": Reference("Zoey is a knight, and Riley is a knave.", "knights_knaves")}
    answers = ["Riley is a knave and Zoey is a knight", "Zoey is a knight", "Zoey is a knave, Riley is a knave"]
    grades = Grader().grade("test", island, [("k", answer) for answer in answers])
    assert [grade.verdict for grade in grades] == ["correct", "incorrect", "incorrect"]
    assert len({grade.answer_class for grade in grades}) == 3


def grade_once() -> None:
    assert verdicts("half", "0.5") == [("correct", 0)]


def test_a_process_that_graded_ends_by_itself():
    """A run of the page is such a process: one that stayed would hold its model and the memory of it."""
    process = multiprocessing.get_context("spawn").Process(target=grade_once)
    process.start()
    process.join(60)
    assert process.exitcode == 0


@pytest.mark.parametrize(
    ("name", "domain", "answers", "classes"),
    [
        ("math-verify", "math", ["0.5", "\\frac{1}{2}", "3-", None, "3", "\\frac24"], [1, 1, None, None, 2, 1]),
        ("exact", "math", ["0.5", "1/2", "0. 5", "", None], [1, 2, 1, None, None]),
        ("math-verify", "multiple_choice", ["(B)", "B", "C", "17"], [1, 1, 2, None]),
        ("math-verify", "math", [None, None], [None, None]),
    ],
)
def test_without_a_gold_equal_answers_share_a_class_and_what_cannot_be_read_has_none(name, domain, answers, classes):
    assert Grader(name=name).classes(domain, answers) == classes


def test_answers_without_a_gold_are_not_held_against_those_of_another_problem():
    assert [Grader().classes("math", ["7", "8"]), Grader().classes("math", ["8", "7.0"])] == [[1, 2], [1, 2]]
    assert not grader._judged["math-verify"][Reference(None, "math")]


def test_without_a_gold_what_hangs_is_killed_and_votes_with_its_own_text(monkeypatch):
    monkeypatch.setattr(grader, "judge", hang_on_nine)
    assert Grader(seconds=1).classes("hangs", ["9", "1", "9"]) == [1, 2, 1]
