"""What is written of recorded samples: all of them, however many a problem has, and each once."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resources.problems.recorded_samples import ImportFileError, Recorded, read_recording, read_samples, write_recorded

TEXTS = st.sampled_from("abcde")
SAMPLES = st.lists(
    st.tuples(st.sampled_from("pqr"), TEXTS, st.just(()) | st.tuples(TEXTS, TEXTS)), min_size=1, max_size=20
)


def direct(problem: str, *texts: str) -> list[Recorded]:
    return [Recorded(problem, f"{problem}?", "1", text) for text in texts]


def refined(problem: str, text: str, *candidates: str) -> Recorded:
    return Recorded(problem, f"{problem}?", "1", text, candidates)


def written(folder) -> dict[tuple[str, int], str]:
    return {(row["prompt_id"], row["sample_index"]): row["text"] for row in read_samples(folder)}


def test_every_problem_keeps_all_of_its_samples(tmp_path):
    made = write_recorded([*direct("p", *"abcd"), *direct("q", "a")], tmp_path, k=4)
    assert (made.problems, made.samples, made.most, made.left_out) == (2, 5, 4, {})
    assert written(tmp_path) == {**{("p", i): text for i, text in enumerate("abcd")}, ("q", 0): "a"}


def test_at_most_so_many_of_a_problem_leaves_those_with_fewer_whole(tmp_path):
    made = write_recorded([*direct("p", *"abcd"), *direct("q", "a")], tmp_path, k=4, most=3)
    assert (made.problems, made.samples, made.most) == (2, 4, 3)
    assert made.left_out == {"samples over 3 of a problem": 1}


def test_refined_groups_come_first_and_what_nobody_refined_stays(tmp_path):
    made = write_recorded([*direct("p", *"xyz"), refined("p", "new", "a", "b"), *direct("q", "x")], tmp_path, k=2)
    assert (made.samples, made.refinements, made.left_out) == (6, 1, {})
    of_p = {("p", i): text for i, text in enumerate("abxyz")}
    assert written(tmp_path) == {**of_p, ("p/g0", 0): "new", ("q", 0): "x"}


def test_a_candidate_that_is_a_sample_of_its_own_too_is_one_sample_with_its_own_counts(tmp_path):
    rows = [
        refined("p", "new", "a", "b"),
        Recorded("p", "p?", "1", "b", generated_tokens=7, finish_reason="length"),
        *direct("p", "c", "b"),
    ]
    made = write_recorded(rows, tmp_path, k=2)
    assert list(written(tmp_path).values()) == ["a", "b", "c", "b", "new"]
    assert made.left_out == {"candidates of refinements that are samples of their own too: each counts once": 1}
    second = next(row for row in read_samples(tmp_path) if row["sample_index"] == 1)
    assert (second["generated_tokens"], second["finish_reason"]) == (7, "length")


def test_refinements_of_samples_that_are_cut_off_are_left_out_and_counted(tmp_path):
    rows = [refined("p", "one", "a", "b"), refined("p", "two", "c", "d")]
    made = write_recorded(rows, tmp_path, k=2, most=3)
    assert (made.samples, made.refinements) == (3, 1)
    assert made.left_out == {"samples over 3 of a problem": 1, "refinements of samples over 3 of a problem": 1}


def test_a_problem_whose_refinements_do_not_fit_is_left_out_and_counted(tmp_path):
    made = write_recorded([refined("p", "new", *"abc"), *direct("q", "x")], tmp_path, k=2)
    assert made.left_out == {"refinements of 3 candidates, not 2": 1, "problems without a sample": 1}
    with pytest.raises(ImportFileError, match=r"no sample is left of 1: .*refinements of 3 candidates, not 2"):
        write_recorded([refined("p", "new", *"abc")], tmp_path, k=2)


@settings(max_examples=100, deadline=None)
@given(SAMPLES)
def test_whatever_is_written_each_text_is_there_as_often_as_a_row_or_a_group_has_it(tmp_path_factory, samples):
    folder = tmp_path_factory.mktemp("law")
    rows = [Recorded(problem, "?", "1", text, shown) for problem, text, shown in samples]
    made = write_recorded(rows, folder, k=2)
    recording = read_recording(folder)
    found = written(folder)
    for problem in {row.problem_id for row in rows}:
        alone = Counter(r.text for r in rows if r.problem_id == problem and not r.candidates)
        groups = [r for r in rows if r.problem_id == problem and r.candidates]
        shown = Counter(text for r in groups for text in r.candidates)
        pool = [found[problem, i] for i in range(recording.candidates[problem])]
        assert Counter(pool) == alone | shown  # the larger count of each
        for number, refinement in enumerate(groups):
            assert tuple(pool[2 * number : 2 * number + 2]) == refinement.candidates
            assert found[f"{problem}/g{number}", 0] == refinement.text
    assert (made.samples, made.refinements) == (sum(recording.candidates.values()), len(recording.refined))
    assert recording.k == (2 if recording.refined else None)
