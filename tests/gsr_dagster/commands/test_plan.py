import re
from pathlib import Path
from unittest.mock import patch

import pytest
import yaml
from click.testing import CliRunner

from gsr_dagster.commands.main import main
from gsr_dagster.commands.options import console
from gsr_dagster.commands.plan.command import of_this_machine
from gsr_dagster.commands.plan.steps import Step, plan
from gsr_dagster.experiment.aggregations.kinds.choosing.recorded_scores import RecordedScores
from gsr_dagster.experiment.aggregations.kinds.choosing.universal_self_consistency import UniversalSelfConsistency
from gsr_dagster.experiment.aggregations.kinds.refining.greedy_direct import GreedyDirect
from gsr_dagster.experiment.aggregations.kinds.refining.planned_refinement import PlannedRefinement
from gsr_dagster.experiment.aggregations.kinds.refining.recursive_self_aggregation import RecursiveSelfAggregation
from gsr_dagster.experiment.aggregations.kinds.refining.repeated_refinement import RepeatedRefinement
from gsr_dagster.experiment.aggregations.kinds.refining.shuffled_refinement import ShuffledRefinement
from gsr_dagster.experiment.engines import VLLM
from gsr_dagster.experiment.loading import experiment_path, load_experiment
from tests.places import FORMER_DEMO


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
        "rsa": RecursiveSelfAggregation(kind="recursive_self_aggregation", rounds=3),
        "shuffled": ShuffledRefinement(kind="shuffled_refinement"),
        "planned": PlannedRefinement(kind="planned_refinement", groups_per_stratum=10),
        "scores": RecordedScores(kind="recorded_scores", path=Path("scores.jsonl")),
    }
    drawn = {step.what: step.samples for step in plan(experiment.model_copy(update={"aggregations": named}))}
    groups, k = drawn["self_refinements"], experiment.k
    assert (drawn["usc"], drawn["twice"], drawn["shuffled"]) == (groups, groups * (k + 1), groups * 2)
    assert drawn["planned"] == len(experiment.benchmarks) * (k + 1) * 10
    assert drawn["rsa"] == 3 * drawn["candidate_pools"]
    assert "scores" not in drawn


def test_a_greedy_answer_is_one_direct_solution_a_problem():
    experiment = load_experiment(experiment_path("paper"))
    more = {"aggregations": {"greedy": GreedyDirect(kind="greedy_direct")}}
    steps = {(s.what, s.model): s for s in plan(experiment.model_copy(update=more))}
    greedy, pool = (steps[what, "qwen2.5-7b"] for what in ("greedy", "candidate_pools"))
    assert greedy.samples == greedy.prompts == pool.prompts
    assert greedy.tokens / greedy.samples == pool.tokens / pool.samples


def test_a_student_is_trained_on_no_more_rows_than_it_asks_for():
    experiment = load_experiment(experiment_path("demo"))
    ((name, student),) = experiment.students.items()

    def rows(**changes: object) -> int:
        changed = experiment.model_copy(update={"students": {name: student.model_copy(update=changes)}})
        return next(step.samples for step in plan(changed) if step.what == "lora_checkpoints")

    assert rows() == 400 * 2  # of 1 refinement and 4 solutions a problem, one to one
    assert rows(rows="direct") == 400 * 4
    assert rows(rows="direct", most_rows=50) == 50


def test_a_training_reads_rows_as_long_as_they_may_be_and_candidates_only_in_refinements():
    experiment = load_experiment(experiment_path("demo"))
    ((name, student),) = experiment.students.items()

    def a_row(**changes: object) -> float:
        changed = experiment.model_copy(update={"students": {name: student.model_copy(update=changes)}})
        training = next(step for step in plan(changed) if step.what == "lora_checkpoints")
        return training.tokens / training.samples

    direct, refinement = a_row(rows="direct"), a_row(rows="refinement")
    assert refinement - direct > experiment.k * student.candidates.max_new_tokens
    assert a_row(rows="hybrid") == (direct + refinement) / 2
    short = student.training.model_copy(update={"max_length": 200, "epochs": 3})
    assert a_row(rows="refinement", training=short) == 3 * 200


def test_base_instruct_models_stop_at_their_own_limit_and_students_at_the_experiments():
    experiment = load_experiment(experiment_path("paper"))
    subjects = ("qwen2.5-7b", "qwq-32b", "qwen2.5-7b-gsr")
    assert [experiment.rollout("direct", subject).max_new_tokens for subject in subjects] == [4096, 32768, 32768]


# Served models. The prices are of a million tokens, the problems of 40 characters: 10 tokens.

ROLLOUT = {"temperature": 1.0, "max_new_tokens": 1000}


def served(folder: Path, **engine: object) -> Path:
    problems = [f'{{"id": "{n}", "problem": "{n:040}", "answer": "1"}}' for n in range(10)]
    (folder / "problems.jsonl").write_text("\n".join(problems))
    document = {
        "name": "served",
        "k": 2,
        "benchmarks": {"own": {"source": "file:problems.jsonl", "samples": 4}},
        "families": {
            "gpt": {"4o": {"engine": {"kind": "openai", "base_url": "http://127.0.0.1:1/v1", "model": "m", **engine}}}
        },
        "evaluation": {"direct": ROLLOUT, "refinement": ROLLOUT, "candidate_tokens": 500},
    }
    (folder / "experiment.yaml").write_text(yaml.safe_dump(document))
    return folder / "experiment.yaml"


def told(path: Path) -> str:
    with patch.object(console, "_width", 100):
        result = CliRunner().invoke(main, ["-e", str(path), "plan"])
    assert result.exit_code == 0, result.output
    return result.output


PRICE = {"prompt": 1e6, "generated": 1e3}  # a prompt token costs 1, a generated one 0.001


def test_a_served_model_is_money_and_neither_gpu_hours_nor_weights(tmp_path):
    pool, refined = plan(load_experiment(served(tmp_path, price=PRICE, n=4)))
    direct = 10 + len("\n\nPlease think step by step, and put your final answer in \\boxed{}.") // 4
    assert (pool.prompt_tokens, pool.tokens) == (10 * direct, 40_000)
    assert (pool.money(), pool.money(0.4)) == (10 * direct + 40, 10 * direct + 16)
    assert 20 * (500 + 10) < refined.prompt_tokens < 20 * (500 + 10 + 200)
    assert pool.hours(5000, 0.4) is None
    said = told(tmp_path / "experiment.yaml")
    assert "0 GPU hours" in said
    assert "0.0 GB of weights" in said
    line = next(line for line in said.splitlines() if line.startswith("candidate_pools"))
    assert line.split()[-3:] == ["–", f"{10 * direct + 16:,.2f}", f"{10 * direct + 40:,.2f}"]
    assert max(map(len, said.splitlines()[:6])) <= 100


@pytest.mark.parametrize(("n", "paid"), [(1, 40), (2, 20), (3, 20), (4, 10), (8, 10)])
def test_the_samples_of_one_request_pay_its_prompt_once(tmp_path, n, paid):
    pool, _ = plan(load_experiment(served(tmp_path, price=PRICE, n=n)))
    assert pool.prompt_tokens == paid * (10 + 16)


def test_what_the_file_allows_is_held_against_the_plan(tmp_path):
    total = sum(step.money() for step in plan(load_experiment(served(tmp_path, price=PRICE))))
    low, between, high = 1.0, total - 1, total + 1
    assert "gpt-4o: most_cost is 1.00, and the plan is above it: " in told(served(tmp_path, price=PRICE, most_cost=low))
    assert "and the plan is above it only at most" in told(served(tmp_path, price=PRICE, most_cost=between))
    assert "and the plan is not above it" in told(served(tmp_path, price=PRICE, most_cost=high))
    said = told(served(tmp_path, most_tokens=100))
    assert "gpt-4o: most_tokens are 100, and the plan is above it" in said
    assert "Models with a price cost" not in said


def test_a_served_model_without_a_price_has_no_columns_of_money(tmp_path):
    said = told(served(tmp_path))
    assert "cost" not in said
    assert "GPU hours" in said


def test_a_model_that_runs_here_is_money_too_where_its_engine_has_a_price(tmp_path):
    path = served(tmp_path)
    document = yaml.safe_load(path.read_text())
    engine = {"kind": "vllm", "price": PRICE}
    document["families"] = {"llama": {"tiny": {"source": "path:nowhere", "parameters": 7e9, "engine": engine}}}
    path.write_text(yaml.safe_dump(document))
    pool, refined = plan(load_experiment(path))
    assert pool.money() == pool.prompt_tokens + pool.tokens / 1000
    assert f"Models with a price cost {pool.money(0.4) + refined.money(0.4):,.2f} where 40%" in told(path)


def test_a_model_of_unknown_size_has_a_dash_and_is_named(tmp_path):
    experiment = served(tmp_path)
    document = yaml.safe_load(experiment.read_text())
    document["families"]["llama"] = {"tiny": {"source": "path:nowhere"}}
    experiment.write_text(yaml.safe_dump(document))
    said = told(experiment)
    assert "Neither hours nor weights count llama-tiny: the file does not say the parameters." in said
    line = next(line for line in said.splitlines() if "llama-tiny" in line)
    assert line.split()[-1] == "–"


def test_another_model_that_refines_is_the_one_that_is_paid(tmp_path):
    path = served(tmp_path, price=PRICE)
    document = yaml.safe_load(path.read_text())
    document["families"]["llama"] = {"tiny": {"source": "path:nowhere", "parameters": 7e9}}
    document["aggregations"] = {"other": {"kind": "synthesis", "model": "gpt-4o"}}
    path.write_text(yaml.safe_dump(document))
    steps = {(step.what, step.model): step for step in plan(load_experiment(path))}
    assert steps["other", "llama-tiny"].money() == steps["other", "gpt-4o"].money()
    assert steps["other", "llama-tiny"].hours(5000, 1) is None
    assert steps["candidate_pools", "llama-tiny"].money() is None


# What a newcomer leaves out, or gets wrong.


def test_the_defaults_of_the_evaluation_are_said_where_they_are_used(tmp_path):
    path = served(tmp_path)
    assert "defaults" not in told(path)
    document = yaml.safe_load(path.read_text())
    document["evaluation"] = {"direct": {"temperature": 1}}
    path.write_text(yaml.safe_dump(document))
    said = (
        "The experiment file leaves out these settings of the evaluation, so their defaults are used: direct: max_new_tokens 4096, "
        "refinement: temperature 0.7, refinement: max_new_tokens 4096, candidate_tokens 6144."
    )
    assert said in told(path)
    del document["evaluation"]
    path.write_text(yaml.safe_dump(document))
    assert "direct: temperature 0.7, direct: max_new_tokens 4096" in told(path)


def test_defaults_that_are_written_down_are_the_same_experiment(tmp_path):
    path = served(tmp_path)
    document = yaml.safe_load(path.read_text())
    del document["evaluation"]
    path.write_text(yaml.safe_dump(document))
    left_out = load_experiment(path).evaluation
    rollout = {"temperature": 0.7, "max_new_tokens": 4096}
    document["evaluation"] = {"direct": rollout, "refinement": rollout, "candidate_tokens": 6144}
    path.write_text(yaml.safe_dump(document))
    assert load_experiment(path).evaluation.model_dump() == left_out.model_dump()


def refused(path: Path) -> str:
    result = CliRunner().invoke(main, ["-e", str(path), "plan"])
    assert result.exit_code == 1, result.output
    return result.output


def test_a_file_of_problems_and_a_task_that_are_not_there_are_refused_by_their_line(tmp_path):
    path = served(tmp_path)
    (tmp_path / "problems.jsonl").rename(tmp_path / "problem.jsonl")
    assert "benchmarks.own.source: there is no file" in refused(path)
    assert "did you mean problem.jsonl?" in refused(path)
    document = yaml.safe_load(path.read_text())
    document["benchmarks"]["own"] = {"source": "reasoning-gym:chain_sums", "problems": 4, "samples": 4}
    path.write_text(yaml.safe_dump(document))
    assert "reasoning-gym has no task 'chain_sums': did you mean chain_sum?" in refused(path)


def test_a_task_that_nobody_can_look_up_is_said(tmp_path, monkeypatch):
    path = served(tmp_path)
    document = yaml.safe_load(path.read_text())
    document["benchmarks"]["own"] = {"source": "reasoning-gym:chain_sums", "problems": 4, "samples": 4}
    path.write_text(yaml.safe_dump(document))
    for module in ("gsr_dagster.experiment.faults.generated", "gsr_dagster.commands.plan.command"):
        monkeypatch.setattr(f"{module}.tasks", dict)
    assert (
        "reasoning-gym is not installed here, and a run needs it: whether it has chain_sums was not looked up"
        in told(path)
    )


def test_weights_that_are_not_on_this_machine_are_said(tmp_path):
    path = served(tmp_path)
    document = yaml.safe_load(path.read_text())
    document["families"]["llama"] = {"tiny": {"source": "path:nowhere"}}
    path.write_text(yaml.safe_dump(document))
    assert "llama-tiny: nowhere is not on this machine, and a run needs it" in told(path)


@pytest.mark.parametrize(("rate", "minutes"), [(1e9, 4), (2e9, 2), (None, None)])
def test_without_a_gpu_the_plan_has_minutes_of_this_machine(rate, minutes):
    pytest.importorskip("torch")
    step = Step("candidate_pools", "tiny", "tiny", 1e6, prompts=10, samples=40, tokens=60_000, prompt_tokens=12_000)
    assert step.operations(0.4) == 2 * 1e6 * 36_000
    with patch("resources.engines.cpu.multiplications_a_second", return_value=rate):
        told = list(of_this_machine([step], 0.4))
    assert [re.findall(r"some (\d+) minutes", line) for line in told] == ([[str(minutes)]] if minutes else [])


def test_worked_examples_are_read_once_by_vllm_and_for_every_prompt_by_transformers():
    experiment = load_experiment(FORMER_DEMO)
    scale = experiment.families["smollm2"]["135m"]
    kept = {"smollm2": {"135m": scale.model_copy(update={"engine": VLLM(kind="vllm")})}}
    every, once = (
        next(step for step in plan(of) if (step.what, step.model) == ("candidate_pools", "smollm2-135m"))
        for of in (experiment, experiment.model_copy(update={"families": kept}))
    )
    problems = [(b.problems or 0, b.examples(of_student=False)) for b in experiment.benchmarks.values()]
    assert every.prompt_tokens - once.prompt_tokens == pytest.approx(
        sum(count * sum(len(text) for pair in shown for text in pair) / 4 for count, shown in problems), rel=0.5
    )
