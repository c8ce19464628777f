from pathlib import Path

from gsr_dagster.commands.plan import plan
from gsr_dagster.experiment.aggregations.kinds.planned_refinement import PlannedRefinement
from gsr_dagster.experiment.aggregations.kinds.recorded_scores import RecordedScores
from gsr_dagster.experiment.aggregations.kinds.repeated_refinement import RepeatedRefinement
from gsr_dagster.experiment.aggregations.kinds.shuffled_refinement import ShuffledRefinement
from gsr_dagster.experiment.aggregations.kinds.universal_self_consistency import UniversalSelfConsistency
from gsr_dagster.experiment.loading import experiment_path, load_experiment


def steps(name: str) -> dict[tuple[str, str], int]:
    return {(step.what, step.model): step.samples for step in plan(load_experiment(experiment_path(name)))}


def test_the_papers_plan_has_its_budgets():
    paper = steps("paper")
    candidates = 32 * (30 + 30) + 16 * (83 + 500 + 674 + 100)
    assert paper["candidate_pools", "qwen2.5-7b"] == paper["candidate_pools", "qwen2.5-7b-gsr"] == candidates
    assert paper["self_refinements", "qwq-32b"] == candidates // 4
    assert paper["training_candidates", "qwen2.5-7b"] == 6 * 56_000
    assert paper["teacher_refinements", "qwq-32b"] == 10 * 56_000


def test_students_who_share_a_teachers_data_pay_for_it_once():
    shared = [step.what for step in plan(load_experiment(experiment_path("paper")))]
    assert shared.count("teacher_refinements") == shared.count("training_candidates") == 1
    assert shared.count("lora_checkpoints") == 3


def test_every_aggregation_that_draws_is_counted():
    experiment = load_experiment(experiment_path("demo"))
    named = {
        "usc": UniversalSelfConsistency(kind="universal_self_consistency"),
        "twice": RepeatedRefinement(kind="repeated_refinement", rounds=2),
        "shuffled": ShuffledRefinement(kind="shuffled_refinement"),
        "planned": PlannedRefinement(kind="planned_refinement", groups_per_stratum=10),
        "scores": RecordedScores(kind="recorded_scores", path=Path("scores.jsonl")),
    }
    drawn = {step.what: step.samples for step in plan(experiment.model_copy(update={"aggregations": named}))}
    groups, k = drawn["self_refinements"], experiment.k
    assert (drawn["usc"], drawn["twice"], drawn["shuffled"]) == (groups, groups * (k + 1), groups * 2)
    assert drawn["planned"] == len(experiment.benchmarks) * (k + 1) * 10
    assert "scores" not in drawn


def test_a_student_is_trained_on_no_more_rows_than_it_asks_for():
    experiment = load_experiment(experiment_path("demo"))
    ((name, student),) = experiment.students.items()

    def rows(**changes: object) -> int:
        changed = experiment.model_copy(update={"students": {name: student.model_copy(update=changes)}})
        return next(step.samples for step in plan(changed) if step.what == "lora_checkpoints")

    assert rows() == 32 * 2 * 2  # of 7 refinements and 2 solutions a problem, one to one
    assert rows(rows="refinement") == 32 * 7
    assert rows(rows="refinement", most_rows=50) == 50


def test_base_instruct_models_stop_at_their_own_limit_and_students_at_the_experiments():
    experiment = load_experiment(experiment_path("paper"))
    subjects = ("qwen2.5-7b", "qwq-32b", "qwen2.5-7b-gsr")
    assert [experiment.rollout("direct", subject).max_new_tokens for subject in subjects] == [4096, 32768, 32768]
