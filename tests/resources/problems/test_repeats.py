"""What is the same sample, and what is the same problem, among several files."""

from dataclasses import replace
from pathlib import Path

import pytest

from resources.problems.forms.fields import Reading
from resources.problems.recorded_samples import ImportFileError, Recorded
from resources.problems.repeats import SampleFile, told_apart, without_repeats


def file(name: str, *samples: Recorded) -> SampleFile:
    return SampleFile(Path(name), list(samples))


def sample(problem_id: str, text: str, problem: str = "1 + 1?", answer: str = "2", **more) -> Recorded:
    return Recorded(problem_id, problem, answer, text, row=(("response", text),), **more)


def left(*files: SampleFile) -> tuple[list[list[str]], int, int]:
    """Return the texts that each file keeps, the number that was left out, and that of kept texts which are the same."""
    reading = Reading()
    kept = [[s.text for s in file.samples] for file in without_repeats(files, reading)]
    return kept, reading.left_out.total(), reading.notes.total()


A, B, C = (sample("p", text) for text in "abc")
Q = sample("q", "d", problem="2 + 2?", answer="4")


def test_a_log_given_twice_is_counted_once():
    assert left(file("x", A, A, B, Q), file("y", A, A, B, Q)) == ([["a", "a", "b", "d"], []], 4, 0)


def test_within_one_file_equal_texts_are_samples_of_their_own():
    assert left(file("x", A, A, B)) == ([["a", "a", "b"]], 0, 0)


def test_a_part_of_a_log_before_or_after_it_is_counted_once():
    assert left(file("x", A), file("y", A, A, B, Q)) == ([["a"], ["a", "b", "d"]], 1, 0)
    assert left(file("x", A, A, B, Q), file("y", Q, A)) == ([["a", "a", "b", "d"], []], 2, 0)


def test_logs_that_overlap_in_some_problems_are_one_log_there():
    other = sample("r", "e", problem="3 + 3?", answer="6")
    assert left(file("x", A, B, Q), file("y", Q, other)) == ([["a", "b", "d"], ["e"]], 1, 0)


def test_two_runs_that_wrote_some_texts_alike_are_two_runs_and_it_is_said():
    assert left(file("x", A, B), file("y", A, C)) == ([["a", "b"], ["a", "c"]], 0, 1)


def test_rows_that_differ_in_another_field_are_two_samples():
    assert left(
        file("x", replace(A, row=(*A.row, ("seed", "0")))), file("y", replace(A, row=(*A.row, ("seed", "1"))))
    ) == ([["a"], ["a"]], 0, 1)


def test_a_copy_of_a_log_with_a_further_column_is_the_same_log():
    assert left(file("x", A), file("y", replace(A, label=1.0, row=(*A.row, ("correct", "1"))))) == ([["a"], []], 1, 0)


def test_two_models_may_write_the_same():
    assert left(file("x", replace(A, model="m")), file("y", replace(A, model="n"))) == ([["a"], ["a"]], 0, 0)


def ids(*files: SampleFile) -> list[str]:
    return [sample.problem_id for sample in told_apart(files)]


OTHER = sample("p", "x", problem="3 + 3?", answer="6")


def test_one_id_in_two_files_is_told_apart_where_the_texts_differ():
    assert ids(file("x.jsonl", A, Q), file("y.jsonl", OTHER), file("z.jsonl", B)) == ["x/p", "q", "y/p", "x/p"]


def test_files_of_one_name_are_told_apart_by_their_folders():
    assert ids(file("m/x.jsonl", A), file("n/x.jsonl", OTHER)) == ["m/x/p", "n/x/p"]


def test_one_id_in_two_benchmarks_is_told_apart_even_where_the_texts_are_the_same():
    first, second = replace(A, benchmark="one"), replace(A, benchmark="two")
    assert ids(file("x", first, second)) == ["one/p", "two/p"]


def test_one_id_with_two_texts_in_one_file_says_what_to_do():
    with pytest.raises(
        ImportFileError, match=r"problem p has two texts .* --field problem_id=NAME, or --group-by NAME"
    ):
        ids(file("x", A, OTHER))


def test_one_problem_with_two_golds_names_both():
    with pytest.raises(
        ImportFileError, match=r"problem p has two texts or answers: the answer is '2' in x and '3' in y"
    ):
        ids(file("x", A), file("y", replace(A, answer="3")))


def test_a_new_id_that_another_problem_has_already_is_refused():
    taken = sample("x/p", "t", problem="5 + 5?", answer="10")
    with pytest.raises(ImportFileError, match="two problems would be called x/p"):
        ids(file("x", A, taken), file("y", OTHER))
