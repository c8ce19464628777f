"""Recorded models side by side: an uneven pool, one that nobody refined, and one refined in part, from import to report.

Three problems, k = 2. Texts are short, so that every number below can be counted by hand.
"""

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from gsr_dagster.commands.main import main
from gsr_dagster.experiment.keys import ArtifactKey
from gsr_dagster.experiment.loading import load_experiment
from gsr_dagster.operations.home import artifact_store

# By problem, whether each sample is right.
EVEN = {"a": "1010", "b": "1110", "c": "0000"}
UNEVEN = {"a": "10101", "b": "11", "c": "0"}
PART = {"a": "1011", "b": "01", "c": "00"}
# The groups of the third that were refined, each as (problem, its first sample, whether the refinement is right).
REFINED = (("a", 0, True), ("c", 0, True))


def gsr(*arguments: str, exit_code: int = 0) -> str:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == exit_code, result.output
    return result.output


def answer(right: bool, number: int) -> str:
    return f"Attempt {number}: \\boxed{{{7 if right else number + 10}}}"


def rows_of(pool: dict[str, str], refined=()) -> list[dict]:
    def row(problem: str, **columns) -> dict:
        return {"problem_id": problem, "problem": f"What is {problem}?", "answer": "7", **columns}

    samples = [
        row(problem, response=answer(right == "1", i)) for problem, pool in pool.items() for i, right in enumerate(pool)
    ]
    refinements = []
    for problem, first, right in refined:
        shown = [answer(pool[problem][i] == "1", i) for i in (first, first + 1)]
        refinements.append(row(problem, response=answer(right, 9), candidates=shown))
    return [*samples, *refinements]


def lines(text: str, start: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines() if line.startswith(start)]


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """The three models imported and run together; what each import and the run printed."""
    folder: Path = tmp_path_factory.mktemp("mixed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GSR_HOME", str(folder / "home"))
        patch.setenv("DAGSTER_HOME", str(folder / "home" / "dagster"))
        told = {}
        pools = {"even": rows_of(EVEN), "uneven": rows_of(UNEVEN), "part": rows_of(PART, REFINED)}
        for name, rows in pools.items():
            (folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
            to = ["--to", str(folder / name), "--model", f"{name}-1b", "--parameters", "1e9", "-k", "2"]
            told[name] = gsr("import", str(folder / f"{name}.jsonl"), *to)
        document = yaml.safe_load((folder / "uneven" / "experiment.yaml").read_text())
        engines = {name: {"kind": "recorded", "path": name} for name in pools}
        document |= {
            "name": "mixed",
            "ks": [4],
            "families": {name: {"1b": {"parameters": 1e9, "engine": engine}} for name, engine in engines.items()},
            "aggregations": {"scores": {"kind": "recorded_scores", "path": "scores.jsonl"}},
        }
        document["benchmarks"]["recorded"]["source"] = "file:even/problems.jsonl"
        (folder / "experiment.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
        scores = [
            {"candidate_id": f"{name}-1b/recorded/{problem}/{i}", "score": float(right)}
            for name, pool in (("even", EVEN), ("uneven", UNEVEN), ("part", PART))
            for problem, of_problem in pool.items()
            for i, right in enumerate(of_problem)
        ]
        (folder / "scores.jsonl").write_text("\n".join(map(json.dumps, scores)))
        told["run"] = gsr("-e", str(folder / "experiment.yaml"), "run")
        yield folder, told


def test_an_import_keeps_every_sample_and_says_how_many_problems_each_k_counts(mixed):
    _, told = mixed
    table = [row for row in map(str.split, told["uneven"].splitlines()) if row and row[0].isdigit() and len(row) == 4]
    # pass@1 is (3/5 + 1 + 0) / 3; at 2 it is 1 - 1/10 of a and 1 of b, at 5 that of a alone.
    assert [row[:3] for row in table] == [
        ["1", "3", "53.3"],
        ["2", "2", "95.0"],
        ["4", "1", "100.0"],
        ["5", "1", "100.0"],
    ]
    assert "3 problems, 8 candidates, 0 refinements" in told["uneven"]
    assert "problems have 1 to 5 samples" in told["uneven"]
    assert "1 of 3 have fewer than 2, and so no group" in told["uneven"]
    assert "nothing was refined" in told["uneven"]


def test_the_vote_that_an_import_shows_beside_a_refinement_is_that_of_its_group(mixed):
    """Of the two refined groups, a's holds one right answer of two and c's none: a vote of 25, against 100."""
    _, told = mixed
    (row,) = [row for row in lines(told["part"], "2 ") if len(row) > 4]
    assert row[4:8] == ["2", "25.0", "100.0", "+75.0"]
    assert "2 of 4 groups were not refined" in told["part"]


def test_a_run_gives_each_pool_its_scores_and_says_what_was_not_refined(mixed):
    _, told = mixed
    even, uneven, part = lines(told["run"], "recorded ")[:3]
    # Of even, pass@2 is (5/6 + 1 + 0) / 3, and maj@2 of a (1 + 4/2) / 6, of b 3/4.
    assert even[1:] == ["even-1b", "41.7", "41.7", "–", "61.1", "–"]
    assert uneven[1:] == ["uneven-1b", "53.3", "80.0", "–", "95.0", "–"]
    assert part[1:6] == ["part-1b", "41.7", "25.0", "100.0", "66.7"]
    assert part[6] == "+75.0"
    for note in (
        "recorded, even-1b: nothing was refined, so there is no gap; maj@2 is over all subsets of 2 samples.",
        "recorded, part-1b: 2 of 4 groups were not refined; maj@2, selfRef@2 and the gap are of the other 2.",
        "recorded, uneven-1b: problems have 1 to 5 samples",
    ):
        assert note in told["run"]
    assert "None of " in told["run"], "no check fails"


def test_the_import_and_the_run_say_the_same_of_every_k(mixed):
    _, told = mixed
    for name in ("even", "uneven", "part"):
        rows = [row for row in map(str.split, told["run"].splitlines()) if row[:2] == ["recorded", f"{name}-1b"]]
        pools = [row[2:] for row in rows if len(row) == 6 and row[2].isdigit()]
        imported = [row for row in map(str.split, told[name].splitlines()) if row and row[0].isdigit()]
        imported = [row for row in imported if "problems," not in row]
        kept = [[row[0], *row[-2:]] if len(row) < 5 else [row[0], *row[2:4]] for row in imported]
        assert kept == [[row[0], *row[2:]] for row in pools], name


def test_best_of_k_by_recorded_scores_needs_no_refinement(mixed):
    """By scores that know, best-of-2 of a group is right wherever one of its two is."""
    folder, _ = mixed
    store = artifact_store(load_experiment(folder / "experiment.yaml"))
    for name, groups, best in (("even", 6, 4 / 6), ("uneven", 3, 3 / 3), ("part", 4, 3 / 4)):
        summary = store.existing(ArtifactKey("base/aggregations", f"recorded|{name}-1b")).summary
        scores = {entry["aggregation"]: entry["score"]["estimate"] for entry in summary["aggregations"]}
        assert summary["groups"] == groups
        assert scores["scores"] == pytest.approx(best)
        assert ("self_refinement" in scores) == (name == "part")


def test_refinements_that_are_not_recorded_are_an_empty_artifact_that_counts_them(mixed):
    folder, _ = mixed
    store = artifact_store(load_experiment(folder / "experiment.yaml"))
    for name, left, samples in (("even", 6, 0), ("uneven", 3, 0), ("part", 2, 2)):
        manifest = store.existing(ArtifactKey("base/self_refinements", f"recorded|{name}-1b"))
        assert (manifest.rows, manifest.summary["groups_not_refined"]) == (samples, left)


def test_the_page_shows_a_dash_and_a_sentence_in_place_of_a_gap(mixed):
    folder, told = mixed
    (line,) = [line for line in told["run"].splitlines() if line.startswith("Report: ")]
    page = Path(line.removeprefix("Report: ")).read_text()
    assert "recorded, even-1b: nothing was refined" in page
    assert "Whole pools, in percent" in page
    assert "Where the gap comes from" in page
    assert page.count("<td>–</td>") >= 2
    alone = folder / "even" / "experiment.yaml"
    ran = gsr("-e", str(alone), "run")
    (line,) = [line for line in ran.splitlines() if line.startswith("Report: ")]
    page = Path(line.removeprefix("Report: ")).read_text()
    assert "nothing was refined" in page
    assert "Where the gap comes from" not in page
    assert gsr("-e", str(alone), "report") in ran
    assert "0 of 12" in gsr("-e", str(alone), "regrade")


def test_a_report_of_a_part_says_what_is_missing(mixed):
    folder, _ = mixed
    document = yaml.safe_load((folder / "experiment.yaml").read_text())
    document["families"]["even"]["3b"] = document["families"]["even"]["1b"]
    (folder / "more.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
    told = gsr("-e", str(folder / "more.yaml"), "report")
    assert "Missing: base/gap_reports[recorded|even-3b], base/aggregations[recorded|even-3b]. gsr run" in told
    assert all(len(lines(told, f"recorded  {name}-1b")) > 1 for name in ("even", "uneven", "part"))
    assert "Report: " in told
    (folder / "none.yaml").write_text(yaml.safe_dump({**document, "name": "none"}))
    told = gsr("-e", str(folder / "none.yaml"), "report", exit_code=1)
    assert "base/gap_reports[recorded|even-1b] is missing" in told


def test_refinements_of_groups_of_another_size_are_refused_with_what_to_write(mixed):
    folder, _ = mixed
    document = yaml.safe_load((folder / "experiment.yaml").read_text())
    (folder / "one.yaml").write_text(yaml.safe_dump({**document, "name": "one", "k": 1}))
    told = gsr("-e", str(folder / "one.yaml"), "run", exit_code=1)
    assert "refinements recorded of part-1b are of groups of 2 candidates" in told
    assert "Write k: 2 there" in told
