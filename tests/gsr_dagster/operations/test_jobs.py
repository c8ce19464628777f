"""Jobs, their tags, the schedule and the pool, without a daemon."""

import dagster as dg
import pytest

from gsr_dagster.definitions import build_definitions
from gsr_dagster.experiment.loading import load_experiment


@pytest.fixture
def definitions(recorded_family, tmp_path, monkeypatch):
    monkeypatch.setenv("GSR_HOME", str(tmp_path / "home"))
    return build_definitions(load_experiment(recorded_family.path))


def run(definitions: dg.Definitions, job: str, partition: str) -> dg.ExecuteInProcessResult:
    return definitions.resolve_job_def(f"recorded_{job}").execute_in_process(partition_key=partition)


def test_a_run_carries_its_experiment_and_its_family(definitions):
    run(definitions, "benchmarks", "short")
    tags = run(definitions, "base_evaluation", "short|qwen2.5-7b").dagster_run.tags
    assert (tags["gsr/experiment"], tags["gsr/family"]) == ("recorded", "qwen2.5")


def test_the_weekly_schedule_asks_for_what_is_not_current(definitions, recorded_family, monkeypatch):
    for benchmark in recorded_family.benchmarks:
        run(definitions, "benchmarks", benchmark)
    run(definitions, "base_evaluation", "short|qwen2.5-7b")
    document = recorded_family.path.read_text().replace("path:nowhere", f"path:{recorded_family.folder}")
    (recorded_family.folder / "model.safetensors").write_bytes(b"")
    recorded_family.path.write_text(document)
    (schedule,) = build_definitions(load_experiment(recorded_family.path)).schedules or ()
    assert schedule.default_status is dg.DefaultScheduleStatus.STOPPED
    with dg.build_schedule_context(repository_def=definitions.get_repository_def()) as context:
        requests = schedule.evaluate_tick(context).run_requests
    asked = {request.partition_key for request in requests or ()}
    assert asked == {
        f"{benchmark}|{model}"
        for benchmark in ("short", "long")
        for model in ("qwen2.5-7b", "qwen2.5-14b", "llama-tiny")
    } - {"short|qwen2.5-7b"}


def test_steps_that_load_a_model_share_a_pool_unless_no_model_is_loaded_here(definitions, recorded_family):
    def pools(definitions: dg.Definitions) -> dict[str, str | None]:
        graph = definitions.resolve_asset_graph()
        keys = [key for key in graph.get_all_asset_keys() if key.path[1] == "base"]
        return {key.path[-1]: next(iter(graph.get(key).pools or ()), None) for key in keys}

    assert pools(definitions) == {
        "candidate_pools": "gpu",
        "graded_candidates": None,
        "self_refinements": "gpu",
        "gap_reports": None,
    }
    experiment = load_experiment(recorded_family.path)
    recorded_only = {"qwen2.5": experiment.families["qwen2.5"]}
    assert not any(pools(build_definitions(experiment.model_copy(update={"families": recorded_only}))).values())
