"""What the graph does where training problems overlap with a benchmark's, without a model."""

import dataclasses
import random

import dagster as dg
import pytest

from assets.evaluation.gap_reports import score_groups
from assets.reports.collecting import reported_gaps
from gsr_dagster.definitions import build_definitions
from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.experiment.keys import TRAINING_PROBLEMS, ArtifactKey, page_key
from gsr_dagster.method.candidate_pool import CandidatePool
from gsr_dagster.method.rows import Row
from gsr_dagster.method.scoring.gap_summary import gap_summary
from gsr_dagster.operations.jobs import name_in_dagster
from gsr_dagster.operations.lanes import lanes
from resources.reporting.report_page import Report, render_report
from resources.store.artifacts import ArtifactStore
from resources.store.manifests import Recipe
from tests.running import recipe_of

ROLLOUT = {"temperature": 0.7, "max_new_tokens": 16}
SUMS = {"source": "reasoning-gym:chain_sum", "problems": 3}
DOCUMENT = {
    "name": "overlap",
    "k": 2,
    "benchmarks": {"sums": {**SUMS, "samples": 2}},
    "families": {"llama": {"tiny": {"source": "path:nowhere", "parameters": 1}}},
    "evaluation": {"direct": ROLLOUT, "refinement": ROLLOUT, "candidate_tokens": 64},
    "training_problems": SUMS,
    "students": {
        "llama-student": {
            "base": "llama-tiny",
            "teacher": "llama-tiny",
            **{step: {"samples": 2, **ROLLOUT} for step in ("candidates", "refinements", "solutions")},
        }
    },
}
BENCHMARK = {"sums/0": "What is 3 + 4?", "sums/1": "What is 5 + 6?", "sums/2": "What is 7 + 8?"}
CLEAN = {"training/0": "What is 30 + 40?", "training/1": "What is 5 - 6?"}
OVERLAPPING = {**CLEAN, "training/2": "what is $5+6$?"}


class Workshop:
    """An experiment whose problems are given, in a store of its own."""

    def __init__(self, contamination: str, training: dict[str, str], model: str = "path:nowhere"):
        families = {"llama": {"tiny": {"source": model, "parameters": 1}}}
        self.experiment = Experiment.model_validate({**DOCUMENT, "contamination": contamination, "families": families})
        self.definitions = build_definitions(self.experiment)
        self.store: ArtifactStore = self.definitions.resources["store"]
        self.publish(ArtifactKey("benchmark_problems", "sums"), BENCHMARK)
        self.publish(TRAINING_PROBLEMS, training)

    def publish(self, key: ArtifactKey, problems: dict[str, str]) -> None:
        recipe = recipe_of(self.experiment, self.store, key)
        rows = [
            {"problem_id": name, "problem": text, "answer": "0", "domain": "math"} for name, text in problems.items()
        ]
        shards = [self.store.put_shard(recipe, rows)]
        self.store.publish(recipe, shards, {}, replaced=self.store.manifest(recipe.key))

    def run(self, asset: str) -> dg.ExecuteInProcessResult:
        lane = next(lane for lane in lanes(self.experiment) if asset in lane.assets)
        job = self.definitions.resolve_job_def(name_in_dagster(self.experiment, lane.name))
        return job.execute_in_process(
            asset_selection=[page_key(self.experiment.name, asset)],
            partition_key=lane.partitions[0] or None,
            raise_on_error=False,
        )

    def refusal(self, asset: str) -> str:
        result = self.run(asset)
        assert not result.success
        (failure,) = [event for event in result.all_events if event.is_step_failure]
        error = failure.step_failure_data.error
        return (error.cause or error).message


@pytest.fixture(autouse=True)
def _own_home(tmp_path, monkeypatch):
    monkeypatch.setenv("GSR_HOME", str(tmp_path))
    monkeypatch.delenv("GSR_ARTIFACTS", raising=False)


def test_a_copied_problem_stops_the_run_and_is_shown():
    workshop = Workshop("block", OVERLAPPING)
    result = workshop.run("contamination")
    assert not result.success
    (check,) = result.get_asset_check_evaluations()
    assert (check.passed, check.severity, check.blocking) == (False, dg.AssetCheckSeverity.ERROR, True)
    (worst,) = check.metadata["worst"].records
    shown = [worst.data[f"{side} problem"] for side in ("training", "benchmark")]
    assert shown == ["training/2: what is $5+6$?", "sums/1: What is 5 + 6?"]
    (row,) = workshop.store.read(ArtifactKey("contamination"))
    assert row == {
        "training_id": "training/2",
        "benchmark": "sums",
        "problem_id": "sums/1",
        "kind": "near duplicate",
        "share": 1.0,
    }


@pytest.mark.parametrize("asset", ["training_candidates", "teacher_solutions"])
def test_what_learns_refuses_contaminated_problems_and_says_what_to_do(asset):
    workshop = Workshop("block", OVERLAPPING)
    assert "contamination is missing or older than the problems: materialize it first" in workshop.refusal(asset)
    workshop.run("contamination")
    message = workshop.refusal(asset)
    assert "1 training problems overlap with benchmark problems (1 of sums), 1 near duplicates" in message
    assert "write `contamination: report` into the experiment file" in message


def test_problems_that_changed_since_are_not_trusted():
    workshop = Workshop("block", CLEAN)
    assert workshop.run("contamination").success
    assert "nowhere" in workshop.refusal("training_candidates")  # the model's folder: it was let through
    workshop.publish(TRAINING_PROBLEMS, OVERLAPPING)
    assert "contamination is missing or older" in workshop.refusal("training_candidates")


def test_an_override_lets_it_through_with_a_warning():
    workshop = Workshop("report", OVERLAPPING)
    result = workshop.run("contamination")
    assert result.success
    (check,) = result.get_asset_check_evaluations()
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "nowhere" in workshop.refusal("training_candidates")


def graded_pool(rng: random.Random) -> tuple[list[Row], list[Row]]:
    """Return four candidates a problem, and a refinement a group, right at random."""
    graded, refined = [], []
    for problem in BENCHMARK:
        for index in range(4):
            correct = rng.random() < 0.5
            graded.append(
                {
                    "problem_id": problem,
                    "candidate_id": f"{problem}/{index}",
                    "sample_index": index,
                    "verdict": "correct" if correct else "incorrect",
                    "correct": correct,
                    "summary": f"So \\boxed{{{int(correct)}}}.",
                    "answer": str(int(correct)),
                    "answer_class": 0 if correct else 1,
                    "generated_tokens": 5,
                }
            )
        for group in range(2):
            prompt = f"llama-student/{problem}/g{group}"
            row = {
                **graded[-1],
                "prompt_id": prompt,
                "refinement_id": f"{prompt}/0",
                "candidate_ids": [],
                "answer": "0",
            }
            text = f"\\boxed{{{rng.randint(0, 1)}}}"
            refined.append({**row, "text": text, "finish_reason": "stop", "correct": rng.random() < 0.5})
    return graded, refined


def test_scores_are_split_into_those_of_clean_and_of_overlapping_problems():
    graded, refined = graded_pool(random.Random(1))
    pool = CandidatePool.of("llama-student", graded, k=2, seed=0)
    groups, _ = score_groups(pool, refined)
    whole = gap_summary(pool, groups, 0)
    assert "by_overlap" not in whole.document()
    split = gap_summary(pool, groups, 0, overlapping={"sums/1", "another/7"})
    assert dataclasses.replace(split, by_overlap=None) == whole
    for side, ids in {"clean": {"sums/0", "sums/2"}, "overlapping": {"sums/1"}}.items():
        alone = CandidatePool.of("llama-student", [row for row in graded if row["problem_id"] in ids], k=2, seed=0)
        apart = gap_summary(alone, [group for group in groups if group.problem_id in ids], 0)
        assert vars(split.by_overlap[side]) == {name: getattr(apart, name) for name in vars(split.by_overlap[side])}
    assert set(gap_summary(pool, groups, 0, overlapping=BENCHMARK).by_overlap) == {"overlapping"}


@pytest.mark.parametrize(("training", "sides"), [(OVERLAPPING, {"clean": 2, "overlapping": 1}), (CLEAN, {})])
def test_a_students_gap_report_and_the_page_carry_the_split_where_there_is_overlap(training, sides, tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.safetensors").write_bytes(b"weights")
    workshop = Workshop("report", training, model=f"path:{tmp_path / 'model'}")
    workshop.run("contamination")
    graded, refined = graded_pool(random.Random(1))
    for name, rows in (("graded_candidates", graded), ("self_refinements", refined)):
        recipe = Recipe(ArtifactKey(f"student/{name}", "sums|llama-student"), settings={})
        workshop.store.publish(recipe, [workshop.store.put_shard(recipe, rows)], {})
    assert workshop.run("student/gap_reports").success
    (gap,) = reported_gaps(workshop.experiment, workshop.store, "student")
    assert {side: part.problems for side, part in (gap.by_overlap or {}).items()} == sides
    page = render_report(Report(workshop.experiment, [gap]))
    assert ("overlap with the training problems" in page) == bool(sides)
    assert all(f"{count} {side}" in page for side, count in sides.items())
