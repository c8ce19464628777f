from gsr_dagster.method.prompting.prompts import direct_messages, fit_candidates, refinement_messages, summarise


def test_worked_examples_stand_before_the_problem_as_turns():
    roles = [m["role"] for m in direct_messages("p", [("q", "a"), ("r", "b")])]
    assert roles == ["user", "assistant", "user", "assistant", "user"]


def test_the_refinement_prompt_shows_the_problem_and_then_every_candidate_in_order():
    (message,) = refinement_messages("What is 1 + 1?", ["two", "three"])
    places = [
        message["content"].index(part) for part in ("expert", "1 + 1", "\\boxed{}", "Response 1:\ntwo", "2:\nthree")
    ]
    assert places == sorted(places)


def test_only_what_follows_the_thinking_is_the_summary():
    assert summarise("<think>hm \\boxed{3}</think> It is \\boxed{4}.", "</think>") == "It is \\boxed{4}."
    assert summarise("<think>hm \\boxed{3}", "</think>") is None
    assert summarise(" no thinking ", None) == "no thinking"


def test_candidates_over_their_share_lose_their_head_and_are_counted():
    words = {}

    def tokenize(text):
        return [words.setdefault(w, len(words)) for w in text.split()]

    def detokenize(tokens):
        return " ".join(list(words)[t] for t in tokens)

    shown, shortened = fit_candidates(["a b c d", "e f", None], 6, tokenize, detokenize)
    assert shown == ["… c d", "e f", "(no answer)"]
    assert shortened == 1
