"""gsr lineage: why a row is in a training set, and who saw a problem, as a user asks."""

from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from gsr_dagster.commands.main import main
from gsr_dagster.experiment.keys import ArtifactKey, page_key
from tests.running import recipe_of
from tests.school import STUDENT, School

TRAINING_SET = ArtifactKey("training_sets", STUDENT)


@pytest.fixture
def lineage(school: School, tmp_path: Path):
    def ask(*arguments: str) -> tuple[int, str]:
        result = CliRunner().invoke(main, ["-e", str(tmp_path / "school.yaml"), "lineage", *arguments])
        return result.exit_code, result.output

    return ask


def a_row(school: School, kind: str) -> dict:
    return next(row for row in school.store.read(TRAINING_SET) if row["kind"] == kind)


def test_a_refinements_row_is_told_from_its_group_to_the_rule_that_kept_it(school, lineage):
    row = a_row(school, "refinement")
    code, told = lineage("--row", row["row_id"])
    assert code == 0, told
    left, right = map(int, row["problem_id"].removeprefix("training/").split("-"))
    assert f"problem {row['problem_id']}, gold {left + right}: What is {left} + {right}?" in told
    samples = {r["candidate_id"]: r for r in school.store.read(ArtifactKey("training_candidates", STUDENT))}
    right_ones = 0
    for number, candidate in enumerate(row["candidate_ids"], start=1):
        answer = samples[candidate]["text"].partition("\\boxed{")[2].partition("}")[0]
        verdict = "correct" if int(answer) == left + right else "incorrect"
        right_ones += verdict == "correct"
        assert f"  {number}. {candidate}: {verdict}, answer {answer}\n" in told
    assert f"its group, {right_ones} of 2 candidates correct" in told
    assert f"the teacher llama-big wrote {row['teacher_sample_id']}: correct, answer {left + right} against" in told
    drawn = school.store.read(ArtifactKey("teacher_refinements", STUDENT))
    of_group = [r["text"] for r in drawn if r["problem_id"] == row["problem_id"]]
    good = sum(f"\\boxed{{{left + right}}}" in text for text in of_group)
    assert f"as {good} of {len(of_group)} refinements of this group" in told
    assert "BROKEN" not in told


def test_a_direct_row_has_no_group(school, lineage):
    row = a_row(school, "direct")
    code, told = lineage("--row", row["row_id"])
    assert code == 0, told
    assert "direct solutions of this problem: all of these are kept" in told
    assert "its group" not in told


@pytest.mark.parametrize(("rows", "kind", "says"), [
    ("hybrid", "refinement", "in the mixture of one to one, {kept} of "),
    ("refinement", "refinement", "in a set of refinements alone, {kept} of "),
    ("direct", "direct", "in a set of direct solutions alone, {kept} of "),
])  # fmt: skip
def test_the_mixture_is_told_as_the_student_asks_for_it(finished_school, tmp_path, monkeypatch, rows, kind, says):
    students = {STUDENT: {**finished_school.written["students"][STUDENT], "rows": rows}}
    if rows != "hybrid":
        students[STUDENT]["training"] = {"refine_weight": 0.5}
    school = finished_school.copy(tmp_path / "artifacts" / "school", students=students)
    monkeypatch.setenv("GSR_EXPERIMENT", "")
    monkeypatch.setenv("GSR_ARTIFACTS", str(tmp_path / "artifacts"))
    (tmp_path / "school.yaml").write_text(yaml.safe_dump(school.written))
    assert school.run("training_sets", STUDENT).success
    row = a_row(school, kind)
    result = CliRunner().invoke(main, ["-e", str(tmp_path / "school.yaml"), "lineage", "--row", row["row_id"]])
    kept = sum(r["kind"] == kind for r in school.store.read(TRAINING_SET))
    assert says.format(kept=kept) in result.output
    assert ("one to one" in result.output) == (rows == "hybrid")


def test_a_row_whose_samples_changed_since_is_said_to_be_broken(school, lineage):
    row = a_row(school, "refinement")

    def other(rows):
        return [r for r in rows if r["problem_id"] != row["problem_id"]]

    school.rewrite("teacher_solutions", STUDENT, other)
    assert f"BROKEN: teacher_solutions[{STUDENT}] was " in lineage("--row", row["row_id"])[1]
    school.rewrite("teacher_refinements", STUDENT, other)
    code, told = lineage("--row", row["row_id"])
    assert code == 1
    assert f"{row['teacher_sample_id']} is not in teacher_refinements[{STUDENT}] any more" in told


def test_a_training_problem_names_who_learned_from_it_and_that_no_benchmark_holds_it(school, lineage):
    row = a_row(school, "refinement")
    rows = [r for r in school.store.read(TRAINING_SET) if r["problem_id"] == row["problem_id"]]
    kinds = [r["kind"] for r in rows]
    code, told = lineage("--problem", row["problem_id"])
    assert code == 0, told
    counts = f"{kinds.count('refinement')} refinements and {kinds.count('direct')} direct solutions"
    assert f"{STUDENT} learned from {counts} of it" in told
    assert all(f"  {r['row_id']}\n" in told for r in rows)
    assert "no benchmark holds it" in told


def test_a_problem_of_no_row_taught_nothing(school, lineage):
    problem = a_row(school, "direct")["problem_id"]
    school.rewrite("training_sets", STUDENT, lambda rows: [r for r in rows if r["problem_id"] != problem])
    told = lineage("--problem", problem)[1]
    assert f"{STUDENT} is to learn nothing from it" in told  # its checkpoint is of the set before


def test_a_benchmarks_problem_that_overlaps_leads_to_who_learned_from_the_copy(school, lineage):
    row = a_row(school, "refinement")
    overlap = {"training_id": row["problem_id"], "benchmark": "sums", "problem_id": "sums/3-11"}
    overlap |= {"kind": "near duplicate", "share": 0.9}
    key = ArtifactKey("contamination")
    recipe = recipe_of(school.experiment, school.store, key)
    shard = school.store.put_shard(recipe, [overlap])
    school.store.publish(recipe, [shard], {}, replaced=school.store.manifest(key))
    told = lineage("--problem", "sums/3-11")[1]
    graded = school.store.read(ArtifactKey("student/graded_candidates", f"sums|{STUDENT}"))
    right = sum(r["correct"] for r in graded if r["problem_id"] == "sums/3-11")
    assert f"{STUDENT} was evaluated on it: {right} of 4 candidates are right" in told
    assert f"near duplicate of (share 0.90) {row['problem_id']} of the training problems" in told
    assert f"  {STUDENT} learned from " in told
    assert (
        "near duplicate of (share 0.90) sums/3-11 of the benchmark sums" in lineage("--problem", row["problem_id"])[1]
    )
    assert "no student learned from it" in lineage("--problem", "sums/4-11")[1]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--problem", "sums/3-1"], "no problem 'sums/3-1'; near it: sums/3-1"),
        (["--row", "refinement/llama-big/training/24-31/g0/9"], "near it: refinement/llama-big/training/24-31/g0/"),
        (["--row", "?"], "no training row '?' among "),
        ([], "name one of: a student, --row ID, --problem ID"),
        ([STUDENT, "--row", "x"], "name one of: a student, --row ID, --problem ID"),
        (["nobody"], f"no student 'nobody'; there are: {STUDENT}"),
    ],
)
def test_what_cannot_be_told_is_one_clear_line(lineage, arguments, says):
    code, told = lineage(*arguments)
    assert code != 0
    assert says in told
    assert "Traceback" not in told


def test_the_checkpoint_carries_its_lineage_to_the_page(school):
    result = school.run("lora_checkpoints", STUDENT)
    (event,) = result.get_asset_materialization_events()
    metadata = event.materialization.metadata
    rows = {record.data["part"]: record.data for record in metadata["made_from"].records}
    for part, asset, model in (
        ("training set", "training_sets", ""),
        ("teacher's refinements", "teacher_refinements", "llama-big"),
        ("teacher's solutions", "teacher_solutions", "llama-big"),
        ("candidates", "training_candidates", "llama-tiny"),
    ):
        version = school.store.data_version(ArtifactKey(asset, STUDENT))
        assert rows[part] == {"part": part, "artifact": f"{asset}[{STUDENT}]", "model": model, "data version": version}
        assert metadata[part].asset_key == page_key(school.experiment.name, asset)
