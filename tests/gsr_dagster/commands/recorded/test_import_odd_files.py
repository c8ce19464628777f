"""Files as people have them, through `gsr import` and `gsr run`."""

import csv
import json
from pathlib import Path

import pyarrow.parquet
import pytest
import yaml
from click.testing import CliRunner
from starlette.testclient import TestClient

from gsr_dagster.commands.main import main
from gsr_dagster.experiment.loading import load_experiment
from gsr_dagster.viewing.app import viewer

MODEL = ("--model", "a-1b")


def gsr(*arguments: object) -> str:
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result.output


def refused(*arguments: object) -> str:
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code, result.output
    return result.output


def written(path: Path, rows: list[dict]) -> Path:
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def nested(problem: int, *right: bool, **more) -> dict:
    """A problem with a response for each, right or wrong."""
    return {
        "question": f"{problem} + 1?",
        "gold": problem + 1,
        "responses": [f"\\boxed{{{problem + 1 if one else 0}}}" for one in right],
        **more,
    }


def experiment(folder: Path) -> dict:
    return yaml.safe_load((folder / "experiment.yaml").read_text())


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("GSR_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home" / "dagster"))
    return tmp_path / "home"


def test_labels_and_scores_that_came_with_nested_lists_go_through_the_whole_lane(tmp_path, home):
    rows = [
        nested(0, True, False, labels=[1, 0], scores=[0.9, 0.1]),
        nested(1, True, False, labels=[0, 0], scores=[0.2, 0.7]),
        nested(2, False, False, labels=[1, None], scores=[0.5, 0.5]),
    ]
    folder = tmp_path / "to"
    told = gsr("import", written(tmp_path / "rows.jsonl", rows), "--to", folder, *MODEL, "-k", 2)
    assert "Read by their names: question as problem; gold as answer; responses as response; labels as label; scores as score." in told  # fmt: skip
    assert "Labels: 2 of 5 differ from ours, in 2 of 3 problems: 1 are labelled right and are not right here, 1 are right here and labelled wrong." in told  # fmt: skip
    assert "The problems with the most: 1 + 1? (1), 2 + 1? (1)." in told
    assert "Scores: 6 of 6 candidates have one: gsr run gives best-of-k by them" in told
    ran = gsr("-e", folder / "experiment.yaml", "run")
    best = next(line.split() for line in ran.splitlines() if "best_by_score" in line)
    assert best[3] == "33.3", "the highest score takes the right one of the first problem alone"
    alike = next(line for line in ran.splitlines() if " of 5, κ" in line)
    assert alike.split()[:5] == ["recorded", "a-1b", "1", "1", "60.0"]
    labels = gsr(
        "-e", folder / "experiment.yaml", "sql",
        "select count(*) as n from base_graded_candidates where recorded_label is not null and recorded_label <> correct::int",
    )  # fmt: skip
    assert "2" in labels
    loaded = load_experiment(folder / "experiment.yaml")
    browser = TestClient(viewer([loaded]), "http://localhost")
    assert "2 of 3 groups" in browser.get("/to/groups/recorded/a-1b?unlike_label=true").text
    group = browser.get("/to/group/recorded/a-1b", params={"id": "a-1b/recorded/1 + 1?/g0"}).text
    assert group.count("came with the label wrong") == 2
    (page,) = home.rglob("report.html")
    assert "Labels that came with the samples" in page.read_text()


def test_scores_of_some_candidates_are_kept_and_best_of_k_is_not_offered(tmp_path):
    rows = [nested(0, True, False, scores=[0.9, None])]
    told = gsr("import", written(tmp_path / "rows.jsonl", rows), "--to", tmp_path / "to", *MODEL)
    assert "Scores: 1 of 2 candidates have one: best-of-k needs one of each" in told
    assert "aggregations" not in experiment(tmp_path / "to")
    assert not (tmp_path / "to" / "scores.parquet").exists()
    samples = pyarrow.parquet.read_table(tmp_path / "to" / "samples.parquet")
    assert samples["score"].to_pylist() == [0.9, None]


def test_benchmarks_and_models_are_named_by_their_columns(tmp_path):
    rows = [
        nested(problem + shift, True, False, dataset=name, model=model, seed=0)
        for model in ("org/Alpha-1.5B", "org/Alpha-7B")
        for name, shift in (("aime", 0), ("amc", 10))
        for problem in range(2)
    ]
    path = written(tmp_path / "rows.jsonl", rows)
    told = gsr("import", path, "--to", tmp_path / "to")
    assert "Benchmarks are named by the column dataset (aime, amc)." in told
    assert "Models are named by the column model (org/Alpha-1.5B, org/Alpha-7B)." in told
    assert "Not read: the columns seed." in told
    assert experiment(tmp_path / "to")["benchmarks"].keys() == {"aime", "amc"}
    assert experiment(tmp_path / "to")["families"]["alpha"].keys() == {"1.5b", "7b"}
    told = gsr("import", path, "--to", tmp_path / "one", "--group-by", "", "--domain", "multiple_choice")
    assert experiment(tmp_path / "one")["benchmarks"].keys() == {"recorded"}
    assert "Not read: the columns dataset, seed." in told
    why = refused("import", path, "--to", tmp_path / "no", *MODEL)
    assert "--model names one model, and the column model (org/Alpha-1.5B, org/Alpha-7B) several" in why
    told = gsr("import", path, "--to", tmp_path / "mixed", *MODEL, "--model-column", "", "--group-by", "")
    assert "4 problems, 16 candidates" in told


def test_several_files_are_a_benchmark_each_by_their_names(tmp_path):
    paths = [
        written(tmp_path / f"{name}.jsonl", [nested(problem, True)]) for problem, name in enumerate(("aime", "amc"))
    ]
    gsr("import", *paths, "--to", tmp_path / "to", *MODEL, "--group-by", "task", "--domain", "amc=knights_knaves")
    benchmarks = experiment(tmp_path / "to")["benchmarks"]
    assert {name: section["domain"] for name, section in benchmarks.items()} == {"aime": "math", "amc": "knights_knaves"}  # fmt: skip


@pytest.mark.parametrize(
    ("domain", "why"),
    [("maths", "there are math, knights_knaves, multiple_choice"), ("amc=math", "no benchmark has this name")],
)
def test_a_domain_that_is_none_or_of_no_benchmark_is_refused(tmp_path, domain, why):
    path = written(tmp_path / "rows.jsonl", [nested(0, True)])
    assert why in refused("import", path, "--to", tmp_path / "to", *MODEL, "--domain", domain)


def test_a_spreadsheets_csv_is_read_with_its_semicolons_newlines_and_mark(tmp_path):
    path = tmp_path / "rows.csv"
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file, delimiter=";")
        writer.writerows(
            [
                ("question", "gold", "completions", "is_correct"),
                ("1 + 1?", "2", json.dumps(["It is\n\\boxed{2}", "\\boxed{3}; or so"]), "[true, false]"),
                ("0.5 + 0;5?", "1,0", json.dumps(["\\boxed{1}"]), "[false]"),
            ]
        )
    told = gsr("import", path, "--to", tmp_path / "to", *MODEL)
    assert "2 problems, 3 candidates" in told
    assert "Note: 2 cells of completions hold a list in JSON: each of its items is a sample." in told
    samples = pyarrow.parquet.read_table(tmp_path / "to" / "samples.parquet").to_pylist()
    assert [(row["text"], row["label"]) for row in samples][:2] == [("It is\n\\boxed{2}", 1.0), ("\\boxed{3}; or so", 0.0)]  # fmt: skip


def test_golds_that_are_whole_solutions_are_read_and_it_is_said(tmp_path):
    rows = [{**nested(0, True), "gold": "0 and 1 make 1.\n#### 1"}]
    told = gsr("import", written(tmp_path / "rows.jsonl", rows), "--to", tmp_path / "to", *MODEL)
    assert "Note: 1 golds were whole solutions: the answer was read from each." in told
