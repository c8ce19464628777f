import json
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from assets.problems.problem_sets import ProblemCounts, soundness, with_counts
from gsr_dagster.experiment.problems.datasets import REGISTRY
from gsr_dagster.experiment.problems.golds import as_text, solution_answer
from gsr_dagster.experiment.problems.problem_sets import ProblemSet
from resources.grading.grader import Grader
from resources.problems.sources import load_problems
from resources.store.errors import ArtifactError
from resources.store.manifests import Manifest
from tests.places import DATA

PROBLEMS = DATA / "problems"
SUMS = {"source": "reasoning-gym:chain_sum", "options": {"min_terms": 2, "max_terms": 2, "max_digits": 1}}


def test_the_same_seed_gives_the_same_problems_each_once():
    rows = load_problems("sums", ProblemSet(problems=50, seed=1, **SUMS)).rows
    assert rows == load_problems("sums", ProblemSet(problems=50, seed=1, **SUMS)).rows
    assert len({row["problem"] for row in rows}) == len({row["problem_id"] for row in rows}) == 50


def test_more_problems_begin_with_the_same_ones():
    few, more = (load_problems("sums", ProblemSet(problems=n, seed=1, **SUMS)).rows for n in (5, 20))
    assert more[:5] == few


def test_excluded_texts_are_left_out():
    held_out = {row["problem"] for row in load_problems("sums", ProblemSet(problems=30, seed=1, **SUMS)).rows}
    rows = load_problems("training", ProblemSet(problems=30, seed=1, **SUMS), excluded=held_out).rows
    assert not held_out & {row["problem"] for row in rows}


def test_a_source_with_too_few_problems_says_how_many_it_has():
    with pytest.raises(ArtifactError, match=r"sums: reasoning-gym:chain_sum has \d+ distinct problems, not 5000"):
        load_problems("sums", ProblemSet(problems=5000, **SUMS))


@pytest.mark.parametrize("options", [{"min_terms": 0}, {"no_such_option": 1}])
def test_options_that_the_source_refuses_are_named(options):
    with pytest.raises(ArtifactError, match="sums: reasoning-gym:chain_sum refuses its options"):
        load_problems("sums", ProblemSet(source="reasoning-gym:chain_sum", problems=3, options=options))


def rows_file(folder: Path, *rows: dict) -> str:
    path = folder / "problems.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return f"file:{path}"


def test_fewer_problems_of_a_file_are_a_seeded_choice_that_more_problems_keep(tmp_path):
    rows = [{"id": f"p{n}", "problem": f"{n} + 1?", "answer": str(n + 1)} for n in range(50)]
    source = rows_file(tmp_path, *rows)
    few, more, others = (
        {row["problem_id"] for row in load_problems("sums", ProblemSet(source=source, problems=n, seed=seed)).rows}
        for n, seed in ((5, 1), (20, 1), (20, 2))
    )
    assert few < more != others
    assert len(load_problems("sums", ProblemSet(source=source)).rows) == 50


def test_a_files_columns_can_have_other_names_and_rows_without_an_answer_are_counted(tmp_path):
    rows = [{"question": "1 + 1?", "gold": 2.0}, {"question": "no answer?", "gold": None}]
    source = rows_file(tmp_path, *rows)
    found = load_problems("sums", ProblemSet(source=source, options={"problem": "question", "answer": "gold"}))
    assert [(row["problem_id"], row["answer"]) for row in found.rows] == [("sums/00000", "2")]
    assert found.left_out == {"empty answer": 1}
    with pytest.raises(ArtifactError, match="has no column answer, problem; there are question, gold"):
        load_problems("sums", ProblemSet(source=source))


def test_ids_that_stand_twice_and_files_that_are_none_are_refused(tmp_path):
    row = {"id": "p", "problem": "1 + 1?", "answer": "2"}
    with pytest.raises(ArtifactError, match="1 ids twice, first sums/p; give each problem an id of its own"):
        load_problems("sums", ProblemSet(source=rows_file(tmp_path, row, row | {"problem": "2 + 2?"})))
    (tmp_path / "problems.jsonl").write_text("{not json")
    with pytest.raises(ArtifactError, match="is not JSON lines: line 1"):
        load_problems("sums", ProblemSet(source=f"file:{tmp_path / 'problems.jsonl'}"))
    with pytest.raises(ArtifactError, match="there is no file"):
        load_problems("sums", ProblemSet(source=f"file:{tmp_path / 'nowhere.jsonl'}"))


@pytest.mark.parametrize(
    ("answer", "gold"),
    [
        (0, "0"), (0.0, "0"), (-0.0, "0"), (7, "7"), (142.0, "142"), (0.00001, "0.00001"), (1.5e-7, "0.00000015"),
        (1e22, "1" + "0" * 22), (1e23, "1" + "0" * 23), (-2.5, "-2.5"), (10**40, "1" + "0" * 40),
        (True, "True"), (False, "False"), ([1, 2.5, "$x$"], "1, 2.5, x"), ([0], "0"),
        ("0", "0"), ("1e-05", "0.00001"), ("1E+22", "1" + "0" * 22), ("2e3", "2e3"), ("None", "None"),
        ("\\boxed{5}", "\\boxed{5}"), ("x=5", "x=5"), (" 7 ", " 7 "), ("1,000", "1,000"),
    ],
)  # fmt: skip
def test_numbers_truth_values_and_lists_have_one_reading(tmp_path, answer, gold):
    found = load_problems("sums", ProblemSet(source=rows_file(tmp_path, {"problem": "What?", "answer": answer})))
    assert [row["answer"] for row in found.rows] == [gold]
    assert found.golds_read_from_solutions == 0


@given(
    st.floats(allow_nan=False, allow_infinity=False)
    | st.integers()
    | st.decimals(allow_nan=False, allow_infinity=False, places=6)
)
def test_a_number_keeps_its_value_and_is_written_in_digits(number):
    text = as_text(number)
    assert Fraction(text) == Fraction(repr(number) if isinstance(number, float) else number)
    assert set(text) <= set("-.0123456789")


@pytest.mark.parametrize("missing", [None, float("nan"), "", "  ", "NaN", "nan", "<NA>", "null", []])
def test_a_missing_answer_is_left_out_and_counted(tmp_path, missing):
    rows = [{"problem": "What?", "answer": missing}, {"problem": "1 + 1?", "answer": 2}]
    found = load_problems("sums", ProblemSet(source=rows_file(tmp_path, *rows)))
    assert [row["answer"] for row in found.rows] == ["2"]
    assert found.left_out == {"empty answer": 1}


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        ({"value": 3}, "an object"),
        ([[1, 2], [3]], "a list in a list"),
        ([{"value": 3}], "an object"),
        ([1, None], "a list with an item that is missing"),
        (float("inf"), "an infinite number"),
    ],
)
def test_an_answer_with_no_one_reading_is_refused_and_its_row_named(tmp_path, answer, fault):
    rows = [{"id": "p", "problem": "1 + 1?", "answer": 2}, {"id": "q", "problem": "What?", "answer": answer}]
    with pytest.raises(ArtifactError, match=rf"row 2 \(id q\): answer is {fault}"):
        load_problems("sums", ProblemSet(source=rows_file(tmp_path, *rows)))


def test_a_problem_that_is_no_text_is_refused_and_its_row_named(tmp_path):
    row = {"problem": [{"role": "user", "content": "1 + 1?"}], "answer": 2}
    with pytest.raises(ArtifactError, match="row 1: problem is a list"):
        load_problems("sums", ProblemSet(source=rows_file(tmp_path, row)))


def test_ids_that_are_missing_are_numbered_and_whole_numbers_have_no_decimals(tmp_path):
    rows = [
        {"id": id_, "problem": f"{n} + 1?", "answer": n} for n, id_ in enumerate([7.0, None, float("nan"), "1e-05"])
    ]
    found = load_problems("sums", ProblemSet(source=rows_file(tmp_path, *rows)))
    assert [row["problem_id"] for row in found.rows] == ["sums/7", "sums/00001", "sums/00002", "sums/1e-05"]


def test_columns_of_parquet_are_read_by_their_types(tmp_path):
    columns = {
        "problem": ["a?", "b?", "c?", "d?"],
        "answer": pa.array([Decimal("142.00"), None, Decimal("0.00"), Decimal("-0.50")]),
    }
    pq.write_table(pa.table(columns), tmp_path / "problems.parquet")
    found = load_problems("sums", ProblemSet(source=f"file:{tmp_path / 'problems.parquet'}"))
    assert [row["answer"] for row in found.rows] == ["142", "0", "-0.5"]
    assert found.left_out == {"empty answer": 1}


def test_csv_may_be_named_as_a_source():
    assert ProblemSet(source="file:problems.csv").source.endswith("problems.csv")
    with pytest.raises(ValidationError, match=r"not a .jsonl, .json, .parquet or .csv file"):
        ProblemSet(source="file:problems.xlsx")


SOLUTIONS = {
    "He sells 48/2 = <<48/2=24>>24 clips in May.\nTogether 48+24 = <<48+24=72>>72.\n#### 72": "72",
    "It is 1,000 + 8.\n#### 1,008": "1008",
    "It costs 5 * 2 dollars.\n#### $10": "$10",
    "The sum of both is $\\boxed{\\frac{1}{2}}$.": "\\frac{1}{2}",
    "Thus $x = \\boxed{5}$.": "5",
    "We add them. The answer is 42.": "42",
    "Final Answer: The final answer is $18$. I hope it is correct.": "18",
}


def test_golds_that_are_whole_solutions_are_read_as_their_answers_and_counted(tmp_path):
    rows = [{"problem": f"{n}?", "answer": text} for n, text in enumerate([*SOLUTIONS, "5", "$\\boxed{5}$"])]
    made = with_counts(Grader(), load_problems("sums", ProblemSet(source=rows_file(tmp_path, *rows))))
    assert [row["answer"] for row in made.rows] == [*SOLUTIONS.values(), "5", "$\\boxed{5}$"]
    assert made.summary == {"left_out": {}, "unreadable_golds": [], "golds_read_from_solutions": len(SOLUTIONS)}


def test_the_check_says_how_many_golds_were_read_from_solutions_and_passes():
    manifest = cast(Manifest, SimpleNamespace(wanted={}, rows=3))
    check = soundness(manifest, ProblemCounts({}, [], golds_read_from_solutions=2))
    assert check.passed
    assert "2 golds read from whole solutions" in check.description
    assert check.metadata["golds_read_from_solutions"].value == 2
    assert "whole solutions" not in soundness(manifest, ProblemCounts({}, [])).description


@pytest.mark.parametrize(
    ("gold", "domain"),
    [
        ("5", "math"), ("x=5", "math"), ("\\boxed{5}", "math"), ("x = \\boxed{5}", "math"), ("5 apples", "math"),
        ("\\boxed{5} \\text{ square feet per second}", "math"), ("\\text{no solution}", "math"), ("C", "multiple_choice"),
        ("C. The answer is unknown", "multiple_choice"), ("Zoe is a knight. The answer is clear.", "knights_knaves"),
    ],
)  # fmt: skip
def test_a_gold_that_is_an_answer_stays_what_it_is(gold, domain):
    assert solution_answer(gold, domain) is None


HUB_ROWS = {
    "gsm8k": {"question": "How many?", "answer": "He has 1,000 + 8 = <<1000+8=1008>>1,008.\n#### 1,008"},
    "math-train": {"problem": "What is half of one?", "solution": "It is $\\boxed{\\frac{1}{2}}$."},
    "olympiadbench": {"id": 1606, "question": "Find all n.", "final_answer": ["$2n$", "$3$"]},
    "amc22-23": {"problem": "What is m + n?", "answer": 142.0},
}


@pytest.mark.parametrize(
    ("name", "answer"),
    [("gsm8k", "1008"), ("math-train", "\\frac{1}{2}"), ("olympiadbench", "2n, 3"), ("amc22-23", "142")],
)
def test_the_answer_is_read_as_each_data_set_of_the_hub_writes_it(name, answer):
    entry = REGISTRY[name]
    assert entry.read_answer(HUB_ROWS[name][entry.answer]) == answer


def test_the_papers_filter_keeps_extracted_answers_within_its_pass_rates():
    keep = REGISTRY["openmathreasoning"].only
    rates = {"0.25": True, "0.9": True, "0.91": False, "n/a": False, None: False}
    assert keep
    for rate, kept in rates.items():
        assert keep({"problem_type": "has_answer_extracted", "pass_rate_72b_tir": rate}) == kept
    assert not keep({"problem_type": "converted_proof", "pass_rate_72b_tir": "0.5"})


@pytest.mark.skipif(not PROBLEMS.is_dir(), reason="the shared problems are not here")
@pytest.mark.parametrize(
    ("file", "problems", "unreadable"),
    [
        ("aime24", 30, 0), ("aime25", 30, 0), ("amc22-23", 83, 0), ("math500", 500, 0), ("gsm8k-test", 1319, 0),
        ("olympiad", 675, 2), ("knights-and-knaves-4", 100, 0),
    ],
)  # fmt: skip
def test_the_papers_benchmarks_load_from_files_and_their_golds_can_be_read(file, problems, unreadable):
    domain = "knights_knaves" if "knights" in file else "math"
    found = load_problems(file, ProblemSet(source=f"file:{PROBLEMS / file}.jsonl", domain=domain))
    made = with_counts(Grader(), found)
    assert (len(found.rows), found.left_out, found.golds_read_from_solutions) == (problems, {}, 0)
    assert len(made.summary["unreadable_golds"]) == unreadable


@pytest.mark.parametrize(
    ("source", "option", "told"),
    [
        (
            "file:x.jsonl",
            "answr",
            "options: a file has no option 'answr': did you mean answer? There are id, problem,",
        ),
        ("file:x.jsonl", "split", "options: a file has no option 'split'; there are id, problem, answer, wrong"),
        (
            "hub:math500",
            "problem",
            "a data set that the project knows by its name has no option 'problem': it has none, leave options out",
        ),
    ],
)
def test_an_option_that_a_source_has_not_is_refused_at_the_door(source, option, told):
    with pytest.raises(ValidationError) as error:
        ProblemSet.model_validate({"source": source, "options": {option: "x"}})
    assert told in str(error.value)


def test_a_folder_that_has_the_name_of_a_data_set_of_the_hub_is_not_read_for_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path(REGISTRY["math500"].repository).mkdir(parents=True)
    with pytest.raises(ArtifactError, match="MATH-500 is a folder here, and not the data set of the hub"):
        load_problems("math500", ProblemSet(source="hub:math500"))
