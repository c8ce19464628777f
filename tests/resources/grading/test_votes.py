"""An answer that cannot be read does not vote, in any domain."""

import pytest

from gsr_dagster.method.scoring.scores import Graded, pool_scores
from resources.grading.grader import Grader, Reference

ISLAND = "Zoey is a knight, and Riley is a knave."


@pytest.mark.parametrize(
    ("grader", "domain", "gold", "answers"),
    [
        ("math-verify", "multiple_choice", "C", ["C", "C", "17", "19", "21"]),
        ("math-verify", "knights_knaves", ISLAND, [ISLAND, ISLAND, "I cannot tell.", "nobody", "42"]),
        ("math-verify", "math", "7", ["7", "7", "3-", "", "\\frac{1}{2} +"]),
        ("exact", "math", "7", ["7", "7", "", " ", "\n"]),
        ("exact", "multiple_choice", "C", ["C", "C", "17", "19", "21"]),
    ],
)
def test_what_cannot_be_read_does_not_outvote_the_right_answer(grader, domain, gold, answers):
    grades = Grader(name=grader).grade("vote", {"p": Reference(gold, domain)}, [("p", answer) for answer in answers])
    pool = [Graded(grade.correct, grade.answer_class, 1) for grade in grades]
    _, majority = pool_scores(pool)
    assert [grade.answer_class for grade in grades] == [0, 0, None, None, None]
    assert majority[-1] == 1
