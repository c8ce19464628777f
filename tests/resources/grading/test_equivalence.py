import json
import os
import random
import re
import time
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gsr_dagster.method.answers import final_answer
from resources.grading.answer_texts import clean, split_list
from resources.grading.costly_texts import UnreadableError
from resources.grading.equivalence import Answer, alike, equal
from resources.grading.worker import JudgedVerdict, judge
from tests.places import DATA
from tests.resources.grading.pairs import DIFFERENT, SAME
from tests.resources.grading.rewriting import dressed, gold_and_changes

EQUIVALENCE = DATA / "equivalence"


# Enough to trust it in the nightly run; a few hundred in every other.
PAIRS = 10_000 if os.environ.get("GSR_RELIABILITY") else 250
ODD_PAIRS = 2_000 if os.environ.get("GSR_RELIABILITY") else 60
WORDS = [
    "\\frac",
    "\\sqrt",
    "\\text{",
    "\\pm",
    "\\max",
    "^\\circ",
    "\\cup",
    "\\infty",
    "\\begin{cases}",
    "\\end{cases}",
]
PIECES = [*"0123456789xmtgeE+-*/=^_{}()[],.;:!|%$~<> \\", *WORDS, "\\overline", "½", "²", "≤", "−", "or"]
ODD = st.lists(st.sampled_from(PIECES), max_size=25).map("".join)


def verdict(gold: str, answer: str) -> str:
    (judgement,) = judge("math-verify", "math", gold, [answer])
    return judgement.verdict


def same(gold: str, answer: str) -> bool:
    return equal(Answer.read(gold), Answer.read(answer))


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        ("73", "**73**"),
        ("10000", "10{,}000"),
        ("11111111100", "11,\\! 111,\\! 111,\\! 100"),
        ("1000", "1 000"),
        ("033", "33"),
        ("\\frac{1}{3}", "0.333333"),
        ("10", "\\$10"),
        ("185", "185\\"),
        ("9", "9\\%"),
        ("(1,2), (3,4)", "(3,4), (1,2)"),
        ("$f(n)=n$, $g(n)=1$", "f(n) = n and g(n) = 1"),
        ("69,84", "$84$ and $69$"),
        ("\\left( 3, \\frac{\\pi}{2} \\right)", "(3, \\pi/2)"),
        ("[0, \\frac{1}{2})", "[0, 0.5)"),
        ("2516_8", "2516"),
        ("(x+1)^2", "x^2+2x+1"),
        ("y = 2x + 3", "2x - y + 3 = 0"),
    ],
)
def test_equal_answers_are_equal(gold, answer):
    assert same(gold, answer)


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        ("\\frac{1}{2004!}", "\\frac{1}{2006!}"),
        ("2^{-99}", "2^{-98}"),
        (".0000672", "0.000067"),
        ("2516_8", "2516_9"),
        ("(1,2)", "(2,1)"),
        ("[0, 1)", "[0, 1]"),
        ("(1,2), (3,4)", "(1,2)"),
        ("(1,2), (3,4)", "(1,2), (1,2)"),
        ("(x+1)^2", "x^2+2x+2"),
        ("-4", "(-\\infty,-5)-\\{1,-4\\}"),
    ],
)
def test_unequal_answers_are_not(gold, answer):
    assert not same(gold, answer)


@pytest.mark.parametrize(
    ("one", "other", "together"),
    [
        ("\\frac{1}{2}", "0.5", True),
        ("2(x+1)", "2x+2", True),
        ("(1, \\frac{1}{2})", "(1, 0.5)", True),
        ("(1, 2)", "[1, 2]", False),
        ("x+1", "x+2", False),
        ("7", "(7, 1)", False),
    ],
)
def test_wrong_answers_vote_together_where_their_numbers_agree(one, other, together):
    assert alike(Answer.read(one), Answer.read(other)) == together


@pytest.mark.parametrize(
    "text",
    [
        "",
        "$ $",
        "x" * 1001,
        "9" * 301,
        "(" * 50 + ")" * 50,
        "9^{9^{9}}",
        "2^{3^{4^{5}}}",
        "9^9^9^9",
        "9**9**9",
        "2^{99999999}",
        "(100000!)",
        "((5!)!)!",
        "\\prod_{k=1}^{8000000} k",
    ],
)
def test_what_would_cost_too_much_is_not_read(text):
    with pytest.raises(UnreadableError):
        Answer.read(text)


@pytest.mark.parametrize("text", ["2^{1009}", "2^{2^{10}}", "x^{2n+1}", "e^{x^2}", "2004!", "10^{100}"])
def test_what_costs_little_is(text):
    assert Answer.read(text).cleaned == text


@pytest.mark.parametrize(("gold", "answer"), SAME)
def test_what_means_the_same_is_right(gold, answer):
    assert verdict(gold, answer) == "correct"


@pytest.mark.parametrize(("gold", "answer"), DIFFERENT)
def test_what_means_something_else_is_wrong(gold, answer):
    assert verdict(gold, answer) == "incorrect"


def test_rewritten_answers_keep_their_verdict_and_changed_ones_lose_it():
    """Each gold once in another form and once as another answer, both dressed at random."""
    rng = random.Random(0)
    wrong = []
    for _ in range(PAIRS):
        gold, forms, changes = gold_and_changes(rng)
        gold = dressed(gold, rng) if rng.random() < 0.3 else gold
        for answers, meant in ((forms, "correct"), (changes, "incorrect")):
            answer = dressed(rng.choice(answers), rng)
            if (said := verdict(gold, answer)) != meant:
                wrong.append((gold, answer, said))
    assert not wrong


@pytest.mark.parametrize("text", ["", "3-", "3*", "\\frac{1}{2} +", "\\sin", "x =", "9" * 2000])
def test_an_answer_that_cannot_be_read_is_said_to_be_so(text):
    assert verdict("7", text) == "unreadable"


@given(gold=ODD, answer=ODD)
@settings(max_examples=ODD_PAIRS, deadline=None)
def test_no_pair_of_texts_ends_a_run(gold, answer):
    assert verdict(gold, answer) in get_args(JudgedVerdict)
    assert verdict(gold, gold) in ("correct", "gold unparseable", "timed out")


@pytest.mark.parametrize(
    "text", ["\\text{" + " " * 4000, "\\text{a, " * 600, "1 and " * 800, "\\{" * 2000, "|x" * 2000]
)
def test_a_long_text_of_nothing_is_refused_in_no_time(text):
    started = time.process_time()
    verdict("7", text)
    assert time.process_time() - started < 1


def test_a_list_is_split_outside_its_brackets():
    assert split_list("(1,2), [3,4); \\{5,6\\} \\text{ or } x") == ["(1,2)", "[3,4)", "\\{5,6\\}", "x"]
    assert clean("$ 1{,}000 $.") == "1,000"


def test_text_that_looks_like_code_is_never_run(tmp_path):
    trace = tmp_path / "ran"
    code = f"__import__('pathlib').Path('{trace}').touch()"
    for text in (code, f"1+({code})", f"\\text{{{code}}}", f"eval({code!r})", f"(lambda: {code})()"):
        judge("math-verify", "math", "1", [text])
        judge("math-verify", "math", text, ["1"])
    assert not trace.exists()


# Why these differ from their labels. Everything else in the two files agrees.
UNLIKE_THEIR_LABEL = {
    "a decimal comma, which in an answer is a list's": {"0005", "0006", "0007"},
    "a label for flags that are not ours (precision 2, a relation is no set, not strict)": {
        "0133",
        "0139",
        "0187",
        "0250",
    },
    "the text around a formula is no answer": {"0121"},
    "dollars and brackets of mathematics may stand on lines of their own": {"0031", "0032"},
    "two boxes without a comma, and or or between them: the last one counts": {"0182", "0234", "0244", "0247", "0251"},
    "a box opens and never closes, or an earlier one does": {"0172", "0214"},
}


def labelled(name: str) -> list[dict]:
    path = EQUIVALENCE / f"{name}.jsonl"
    if not path.exists():
        pytest.skip(f"{path} is not here")
    return [json.loads(line) for line in path.read_text().splitlines()]


def is_prose(text: str) -> bool:
    """Whole sentences without a box: what math-verify finds in them is its extraction, not its equivalence."""
    words = re.findall(r"(?<!\\)\b[A-Za-z]{2,}\b", re.sub(r"\$.*?\$", "", text))
    return "boxed" not in text and len(words) > 2


def answer_of(text: str) -> str:
    return (final_answer(text) or text) if "boxed" in text else text


def test_math_verifys_labelled_pairs_agree_but_for_those_explained():
    pairs = [p for p in labelled("math-verify") if not (is_prose(p["gold"]) or is_prose(p["prediction"]))]
    wrong = set()
    for pair in pairs:
        (judgement,) = judge("math-verify", "math", answer_of(pair["gold"]), [answer_of(pair["prediction"])])
        if (judgement.verdict == "correct") != pair["is_equal"]:
            wrong.add(pair["id"][-4:])
    assert wrong == set().union(*UNLIKE_THEIR_LABEL.values())
    assert len(pairs) > 200


def test_nemo_skills_labelled_pairs_all_agree():
    for pair in labelled("nemo-skills"):
        (judgement,) = judge("math-verify", "math", str(pair["gold"]), [str(pair["prediction"])])
        assert (judgement.verdict == "correct") == pair["is_equal"], pair
