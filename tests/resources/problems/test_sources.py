import json
from pathlib import Path

import pytest

from assets.problems.problem_sets import with_counts
from gsr_dagster.experiment.datasets import REGISTRY
from gsr_dagster.experiment.problem_sets import ProblemSet
from resources.grading.grader import Grader
from resources.problems.sources import load_problems
from resources.store.errors import ArtifactError
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
    with pytest.raises(ArtifactError, match="1 ids twice, first sums/p"):
        load_problems("sums", ProblemSet(source=rows_file(tmp_path, row, row | {"problem": "2 + 2?"})))
    (tmp_path / "problems.jsonl").write_text("{not json")
    with pytest.raises(ArtifactError, match="is not JSON lines: line 1"):
        load_problems("sums", ProblemSet(source=f"file:{tmp_path / 'problems.jsonl'}"))
    with pytest.raises(ArtifactError, match="there is no file"):
        load_problems("sums", ProblemSet(source=f"file:{tmp_path / 'nowhere.jsonl'}"))


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
        ("olympiad", 675, 3), ("knights-and-knaves-4", 100, 0),
    ],
)  # fmt: skip
def test_the_papers_benchmarks_load_from_files_and_their_golds_can_be_read(file, problems, unreadable):
    domain = "knights_knaves" if "knights" in file else "math"
    found = load_problems(file, ProblemSet(source=f"file:{PROBLEMS / file}.jsonl", domain=domain))
    made = with_counts(Grader(), found)
    assert (len(found.rows), found.left_out) == (problems, {})
    assert len(made.summary["unreadable_golds"]) == unreadable
