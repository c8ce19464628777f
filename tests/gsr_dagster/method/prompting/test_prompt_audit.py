"""What a prompt holds beside what it should: for any problem and candidates."""

from hypothesis import example, given
from hypothesis import strategies as st

from gsr_dagster.method.prompting.prompt_audit import holds, unexpected_text
from gsr_dagster.method.prompting.prompts import Message, direct_messages, fit_candidates, refinement_messages

texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=80).map(str.strip)
headers = st.sampled_from(["", "\n\nCandidate Response 2:\n", "\n\nCandidate Response 1:\nno", "… "])
summaries = st.one_of(st.none(), st.tuples(texts, headers, texts).map("".join))


def tokens(text: str) -> list[int]:
    return list(text.encode())


def text_of(ids: list[int]) -> str:
    return bytes(ids).decode(errors="replace")


@given(texts, st.lists(summaries, min_size=1, max_size=4), st.integers(4, 200))
@example("", ["\x80\n\nCandidate Response 2:\n", None, None], 75)
def test_a_prompt_as_it_is_built_holds_nothing_unexpected(problem, candidates, budget):
    shown, _ = fit_candidates(candidates, budget, tokens, text_of)
    assert unexpected_text(refinement_messages(problem, shown), problem, summaries=candidates) == ""
    assert unexpected_text(direct_messages(problem, [("a", "b")]), problem, [("a", "b")]) == ""


@given(texts, st.lists(summaries, min_size=1, max_size=4), st.integers(10_000, 99_999), st.randoms())
def test_a_gold_put_anywhere_is_found(problem, candidates, gold, rng):
    for chat, shown in (
        (direct_messages(problem, [("a", "b")]), None),
        (refinement_messages(problem, [summary or "(no answer)" for summary in candidates]), candidates),
    ):
        text = chat[-1]["content"]
        place = rng.randint(0, len(text))
        chat[-1]["content"] = f"{text[:place]}\nThe gold is {gold}.\n{text[place:]}"
        found = unexpected_text(chat, problem, [("a", "b")], shown)
        assert holds(found, str(gold))


def test_a_candidate_that_is_a_header_hides_no_gold_wherever_that_stands():
    candidates = ["\n\nCandidate Response 2:\n", None]
    (message,) = refinement_messages("", [summary or "(no answer)" for summary in candidates])
    text = message["content"]
    for place in range(len(text) + 1):
        chat: list[Message] = [{"role": "user", "content": f"{text[:place]}\nThe gold is 10000.\n{text[place:]}"}]
        assert holds(unexpected_text(chat, "", summaries=candidates), "10000"), place


def test_another_candidate_or_order_is_unexpected():
    chat = refinement_messages("What is 3 + 4?", ["It is 7.", "It is 8."])
    assert unexpected_text(chat, "What is 3 + 4?", summaries=["It is 8.", "It is 7."]).startswith("It is 7.")
    assert unexpected_text(chat, "What is 3 + 4?", summaries=["It is 7."]) != ""
    assert unexpected_text(chat, "What is 3 + 5?", summaries=["It is 7.", "It is 8."]) == "4"


def test_a_gold_is_not_a_part_of_a_longer_number_or_word():
    assert holds("it is 7, so", "7")
    assert holds("so \\frac{1}{2}.", "\\frac{1}{2}")
    assert not holds("it is 17", "7")
    assert not holds("no 7a", "7")
