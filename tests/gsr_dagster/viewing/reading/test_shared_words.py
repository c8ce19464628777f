"""Which words of a refinement are marked as a candidate's."""

from hypothesis import given
from hypothesis import strategies as st

from gsr_dagster.viewing.reading.shared_words import SHORTEST_RUN, shared_runs

TEXTS = st.lists(st.sampled_from(["a", "b", "c", "\n", "  ", "é"]), max_size=30).map(" ".join)


@given(TEXTS, st.lists(TEXTS, max_size=3))
def test_the_pieces_are_the_text_and_a_marked_one_stands_in_its_candidate(text, candidates):
    pieces = shared_runs(text, candidates)
    assert "".join(piece for piece, _ in pieces) == text
    for piece, candidate in pieces:
        if candidate is not None:
            words = piece.split()
            assert len(words) >= SHORTEST_RUN
            assert f" {' '.join(words)} " in f" {' '.join(candidates[candidate].split())} "


@given(TEXTS, TEXTS)
def test_no_run_of_four_words_that_both_hold_is_left_without_a_mark(text, candidate):
    held = {tuple(words) for words in runs(candidate)}
    for piece, marked in shared_runs(text, [candidate]):
        if marked is None:
            assert not held & {tuple(words) for words in runs(piece)}


def test_the_longest_run_counts_whichever_candidate_holds_it():
    short, long = "we add 3 + 4", "so we add 3 + 4 = 7 here"
    assert ("we add 3 + 4 = 7", 1) in shared_runs("then we add 3 + 4 = 7 in all", [short, long])


def test_a_text_in_circles_is_marked_in_no_time():
    circles = "start > apple > bird > key. " * 2000
    assert shared_runs(circles, [circles]) == [(circles.rstrip(), 0), (" ", None)]


def runs(text: str) -> list[list[str]]:
    words = text.split()
    return [words[place : place + SHORTEST_RUN] for place in range(len(words) - SHORTEST_RUN + 1)]
