import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from resources.grading import plain_formulas
from resources.grading.equivalence import Answer


def numbers() -> st.SearchStrategy[str]:
    return st.one_of(
        st.integers(0, 99_999).map(str),
        st.decimals(0, 1000, places=3).map(str),
        st.tuples(st.integers(-9, 99), st.integers(1, 99)).map(lambda p: rf"\frac{{{p[0]}}}{{{p[1]}}}"),
        st.integers(2, 99).map(lambda n: rf"\sqrt{{{n}}}"),
        st.just(r"\pi"),
    )


def terms() -> st.SearchStrategy[str]:
    letters = st.tuples(st.sampled_from(plain_formulas.LETTERS), st.sampled_from(["", "^2", "^{12}"])).map("".join)
    return st.one_of(
        numbers(),
        letters,
        st.tuples(st.integers(2, 99).map(str), letters).map("".join),
        st.tuples(st.integers(2, 99).map(str), st.sampled_from([r"\sqrt{5}", r" \pi", r" \cdot 7"])).map("".join),
        st.tuples(numbers(), st.just("x")).map(" ".join),
    )


@settings(deadline=None)
@example([r"\frac{1}{3}", "0.001 x"], [" + ", " + ", " + "], r"\pi \cdot (x + {})")
@given(
    st.lists(terms(), min_size=1, max_size=4),
    st.lists(st.sampled_from([" + ", "-"]), min_size=3, max_size=3),
    st.sampled_from(["{}", "-{}", r"\frac{{{}}}{{3}}", r"\pi \cdot (x + {})"]),
)
def test_what_it_reads_is_what_math_verify_reads(terms, signs, around):
    text = around.format(terms[0] + "".join(sign + term for sign, term in zip(signs, terms[1:], strict=False)))
    from math_verify import parse
    from sympy import Poly, simplify

    read = plain_formulas.read(text)
    assert read is not None
    reference = parse(f"\\boxed{{{text}}}", parsing_timeout=None)[0]  # pyright: ignore[reportArgumentType]
    difference = simplify(read - reference)
    letters = difference.free_symbols
    left = Poly(difference, *letters).coeffs() if letters else [difference]
    assert all(abs(number.evalf()) < 1e-9 for number in left)  # decimals are floats, also before a letter


@pytest.mark.parametrize(
    "text",
    [r"2\frac{1}{2}", "1/2x", "x(y)", "2(1)", "2(x+1)", r"\pi(7)", "x 2", "2 3", "5 m", "5c", "2^{999}", "(2^{99})^{99}", "x^23", "x=1",
     "1,2", r"\frac12", r"\frac{1}{0}", "2^2^2", "i", "", "+", "(1", "1)", "exit(1)", "x" * 9 + "!"],
)  # fmt: skip
def test_what_could_be_meant_in_two_ways_is_left_to_math_verify(text):
    assert plain_formulas.read(text) is None


def test_a_formula_that_is_no_tuple_is_apart_from_one_without_a_parse():
    gold, answer = Answer.read(r"\left(3, \frac{\pi}{2}\right)"), Answer.read(r"3\sqrt{2}")
    from resources.grading.equivalence import equal

    assert not equal(gold, answer)
    assert "expressions" not in vars(gold)
