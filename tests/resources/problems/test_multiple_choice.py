"""Right and wrong answers of a file become lettered options, in an order that the seed decides."""

import csv
import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from gsr_dagster.experiment.problems.golds import GoldError
from gsr_dagster.experiment.problems.problem_sets import ProblemSet
from resources.grading.grader import Grader, Reference
from resources.problems.multiple_choice import lettered
from resources.problems.sources import load_problems, problem_set_identity
from resources.store.errors import ArtifactError

COLUMNS = {
    "id": "Record ID",
    "problem": "Question",
    "answer": "Correct Answer",
    "wrong": ["Incorrect Answer 1", "Incorrect Answer 2", "Incorrect Answer 3"],
}


def row(number: int) -> dict:
    wrong = {f"Incorrect Answer {i}": f"{number + i} keV\n" for i in (1, 2, 3)}
    return {"Record ID": f"rec{number}", "Question": f"Which energy? ({number})", "Correct Answer": f" {number} keV", **wrong}  # fmt: skip


def problem_set(folder: Path, rows: list[dict], **changed) -> ProblemSet:
    path = folder / "gpqa.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    settings = {"options": COLUMNS, "domain": "multiple_choice", "seed": 1, **changed}
    return ProblemSet.model_validate({"source": f"file:{path}", **settings})


def test_options_are_lettered_in_an_order_of_the_seed_that_other_rows_leave_alone(tmp_path):
    rows = [row(number) for number in range(40)]
    whole = {one["problem_id"]: one for one in load_problems("gpqa", problem_set(tmp_path, rows)).rows}
    fewer = {one["problem_id"]: one for one in load_problems("gpqa", problem_set(tmp_path, rows[7:])).rows}
    assert all(whole[name] == one for name, one in fewer.items())
    for number in range(40):
        one = whole[f"gpqa/rec{number}"]
        assert f"{one['answer']}) {number} keV" in one["problem"].splitlines()
        assert one["domain"] == "multiple_choice"
    assert {one["answer"] for one in whole.values()} == set("ABCD")
    other = problem_set(tmp_path, rows, seed=2)
    assert problem_set_identity(other) != problem_set_identity(problem_set(tmp_path, rows))
    assert [one["answer"] for one in load_problems("gpqa", other).rows] != [one["answer"] for one in whole.values()]


def test_wrong_answers_may_be_a_list_in_one_column(tmp_path):
    listed = [{"problem": "1 + 1?", "answer": 2, "wrong": [3, 4, "none of these"]}]
    (one,) = load_problems("mine", problem_set(tmp_path, listed, options={"wrong": "wrong"})).rows
    assert sorted(line[3:] for line in one["problem"].splitlines()[2:]) == ["2", "3", "4", "none of these"]


@given(st.lists(st.text(min_size=1).map(str.strip).filter(bool), min_size=2, max_size=26, unique=True), st.text())
def test_the_letter_is_that_of_the_right_answer_wherever_the_columns_stand(options, seed):
    right, *wrong = options
    problem, letter = lettered("Which?", right, wrong, seed)
    assert f"{letter}) {right}" in problem
    assert lettered("Which?", right, wrong[::-1], seed) == (problem, letter)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [([], "without a wrong answer"), (["3", "2 "], "among the wrong answers too: 2"), (map(str, range(9, 40)), "32 options")],
)  # fmt: skip
def test_options_that_cannot_be_lettered_are_told(wrong, told):
    with pytest.raises(GoldError, match=told):
        lettered("1 + 1?", "2", list(wrong), "")


def test_a_row_without_options_is_named_and_a_missing_column_too(tmp_path):
    empty = {**row(1), **dict.fromkeys(COLUMNS["wrong"], "")}
    with pytest.raises(ArtifactError, match=r"row 2 \(id rec1\): Correct Answer is without a wrong answer"):
        load_problems("gpqa", problem_set(tmp_path, [row(0), empty]))
    with pytest.raises(ArtifactError, match="has no column Incorrect Answer 3"):
        load_problems("gpqa", problem_set(tmp_path, [{k: v for k, v in row(0).items() if not k.endswith("3")}]))


@pytest.mark.parametrize(
    ("changed", "told"),
    [({"domain": None}, "write domain: multiple_choice too"), ({"options": {"wrong": [1]}}, "names of its columns")],
)
def test_the_file_must_say_that_it_is_multiple_choice(tmp_path, changed, told):
    with pytest.raises(ValidationError, match=told):
        problem_set(tmp_path, [row(0)], **changed)


# The very shape of GPQA's files, with what makes such rows hard to read.

GPQA = ["Record ID", "Question", *("Correct Answer", *(f"Incorrect Answer {number}" for number in (1, 2, 3)))]
HARD = [
    ["rec1", 'A "quoted", and\nbroken question?  ', " 4.5 × 10^-4 eV\n", "3 eV ", "(B)", "1, 2; or\nboth"],
    ["rec2", "Which letter?", "(B)", "(A)", "(C)", "(D)"],
    ["rec3", "Which is the same?", "none", "all", " all", ""],
]


@pytest.mark.parametrize("kind", ["csv", "json", "jsonl"])
def test_gpqas_own_columns_become_problems_with_their_options_as_they_are(tmp_path, kind):
    path = tmp_path / f"gpqa_diamond.{kind}"
    records = [dict(zip(GPQA, values, strict=True)) for values in HARD]
    if kind == "csv":
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerows([GPQA, *HARD])
    else:
        path.write_text(json.dumps(records) if kind == "json" else "\n".join(map(json.dumps, records)))
    settings = {"options": COLUMNS, "domain": "multiple_choice", "seed": 1}
    found = load_problems("gpqa", ProblemSet.model_validate({"source": f"file:{path}", **settings})).rows
    assert [one["problem_id"] for one in found] == ["gpqa/rec1", "gpqa/rec2", "gpqa/rec3"]
    for one, (_, question, right, *wrong) in zip(found, HARD, strict=True):
        options = sorted(option.strip() for option in (right, *wrong) if option.strip())
        asked, _, lettered_options = one["problem"].partition("\n\n")
        assert asked == question.strip()
        read = re.split(r"(?:^|\n)([A-D])\) ", lettered_options)[1:]
        assert read[::2] == list("ABCD")[: len(options)]
        assert sorted(read[1::2]) == options
        assert dict(zip(read[::2], read[1::2], strict=True))[one["answer"]] == right.strip()


def test_an_answer_is_the_letter_before_an_option_and_never_the_letter_in_it(tmp_path):
    record = dict(zip(GPQA, HARD[1], strict=True))
    (one,) = load_problems("gpqa", problem_set(tmp_path, [record])).rows
    letter = one["answer"]
    other = next(name for name in "ABCD" if name != letter)
    answers = [(one["problem_id"], said) for said in (letter, f"({letter})", other)]
    grades = Grader().grade("gpqa", {one["problem_id"]: Reference(letter, one["domain"])}, answers)
    assert [grade.correct for grade in grades] == [True, True, False]


def test_a_right_answer_among_the_wrong_ones_names_its_row(tmp_path):
    record = {**dict(zip(GPQA, HARD[1], strict=True)), "Incorrect Answer 3": "(B)\n"}
    with pytest.raises(ArtifactError, match=r"row 1 \(id rec2\): Correct Answer is among the wrong answers too: \(B\)"):
        load_problems("gpqa", problem_set(tmp_path, [record]))
