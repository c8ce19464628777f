from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gsr_dagster.method.contamination import BATCH, NEAR, BenchmarkIndex, tokens

# Few words, so that long runs are shared by chance; no single letters, whose spaces do not count.
FEW = ["ab", "cd", "ab", "cd", "7", "+"]
PROBLEM = st.lists(st.sampled_from(FEW), max_size=32)
MANY = st.lists(st.sampled_from([f"w{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"] + FEW), max_size=50)
PROBLEMS = st.lists(PROBLEM, max_size=6)
LAYOUT = st.sampled_from([" ", "  ", ", ", "$ $", "\\, ", "\\quad ", " \\left( ", ".\n", " \\ldots "])


def by_hand(problem: list[str], training: list[str]) -> set[tuple[str, float]]:
    """Compare one pair of problems, every window against every window."""
    found = set()
    grams, seen = (
        {tuple(words[i : i + 13]) for i in range(len(words) - 12)}
        for words in ([word for word in text if word != "+"] for text in (problem, training))
    )
    if grams & seen:
        found.add(("13-gram", len(grams & seen) / len(grams)))
    one, other = (
        {tuple(text[i : i + 3]) for i in range(len(text) - 2)} if len(text) > 2 else {tuple(text)} - {()}
        for text in (problem, training)
    )
    if one and other and problem.count("7") == training.count("7"):
        jaccard = len(one & other) / len(one | other)
        if jaccard >= NEAR:
            found.add(("near duplicate", jaccard))
    return found


def overlaps(problems: dict[str, str], training: dict[str, str]):
    return list(BenchmarkIndex(("b", name, text) for name, text in problems.items()).overlaps(training.items()))


@given(PROBLEMS, PROBLEMS, MANY, st.lists(st.tuples(st.integers(0, 50), st.sampled_from(FEW)), max_size=3))
def test_the_index_finds_exactly_what_comparing_every_pair_finds(problems, training, long, edits):
    edited = long.copy()
    for place, word in edits:
        edited[place : place + 1] = [word]
    problems, training = [*problems, long], [*training, edited]
    found = overlaps(
        {f"p{number}": " ".join(text) for number, text in enumerate(problems)},
        {f"t{number}": " ".join(text) for number, text in enumerate(training)},
    )
    assert len(found) == len({(o.training_id, o.problem_id, o.kind) for o in found})
    for p, problem in enumerate(problems):
        for t, text in enumerate(training):
            pair = {(o.kind, o.share) for o in found if (o.training_id, o.problem_id) == (f"t{t}", f"p{p}")}
            assert pair == by_hand(problem, text)


@given(PROBLEM.filter(bool), st.data())
def test_layout_and_case_do_not_hide_a_copy(problem, data):
    copy = "".join(data.draw(LAYOUT) + data.draw(st.sampled_from([word, word.upper()])) for word in problem)
    assert ("near duplicate", 1.0) in {(o.kind, o.share) for o in overlaps({"p": " ".join(problem)}, {"t": copy})}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (r"Simplify $\dfrac{10{,}000}{x}$.", r"simplify $\frac{10,\!000}x$"),
        (r"In $\triangle A B C$, $j x = \left(3\right)$", r"In $\triangle ABC$, $jx=(3)$"),
        (r"$1+2+\dots+9$", r"$1 + 2 + \cdots + 9$"),
        ("Janet’s ducks lay 16 − 3 eggs", "Janet's ducks lay 16 - 3 eggs"),
    ],
)
def test_two_ways_to_write_a_problem_are_one(one, other):
    assert tokens(one) == tokens(other)


@pytest.mark.parametrize(
    ("problem", "training", "same"),
    [
        ("What is $3 + 5$?", "what is 3+5", True),
        ("What is $3 + 5$?", "What is $3 + 6$?", False),
        ("What is $3 + 5$?", "What is $3 - 5$?", False),
        ("$2x$", "2 x", True),
        ("7!", "8!", False),
    ],
)
def test_a_short_problem_is_found_where_it_is_equal_and_only_there(problem, training, same):
    assert [o.kind for o in overlaps({"p": problem}, {"t": training})] == ["near duplicate"] * same


def test_another_number_in_one_sentence_is_another_problem_but_13_words_are_told():
    problem = (
        "{} State in how many ways four balls can be put in three boxes if balls and boxes are not distinguishable"
    )
    (found,) = overlaps({"p": problem.format(4)}, {"t": problem.format(5)})
    assert (found.kind, found.share) == ("13-gram", 8 / 9)
    assert len(overlaps({"p": problem.format("four")}, {"t": problem.format("five")})) == 2  # a number's name is a word


def test_problems_are_streamed_and_found_in_every_batch():
    text = "Find the sum of all one two three four five six seven eight nine."
    stream = ((number, text if number % BATCH == 0 else "none") for number in range(2 * BATCH + 1))
    found = BenchmarkIndex([("b", "p", text)]).overlaps((str(number), problem) for number, problem in stream)
    first = [o.training_id for o in islice(found, 2)]
    assert next(stream)[0] == BATCH  # no more was read
    assert first == ["0", "0"]
    assert [o.training_id for o in found] == [str(2 * BATCH)] * 2


def test_without_benchmark_or_training_problems_nothing_overlaps():
    assert overlaps({}, {"t": "one two three"}) == overlaps({"p": "one two three"}, {}) == []
    assert overlaps({"p": "?"}, {"t": "?"}) == []
