"""Which partitions a backfill names, and what stops it before it is launched; journeys/test_backfill.py launches one."""

import pytest
from click.testing import CliRunner

from gsr_dagster.commands.main import main
from gsr_dagster.definitions import build_definitions
from gsr_dagster.experiment.loading import load_experiment
from gsr_dagster.operations.backfilling import Page, family_partitions

NOBODY = "http://127.0.0.1:9"


@pytest.fixture
def refusal(recorded_family, tmp_path, monkeypatch):
    """Return what asks for a backfill where no page listens, and returns the refusal."""
    monkeypatch.setenv("GSR_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GSR_EXPERIMENT", str(recorded_family.path))

    def refused(*arguments: str) -> str:
        result = CliRunner().invoke(main, ["backfill", "--page", NOBODY, *arguments])
        assert result.exit_code == 1
        return result.output

    return refused


def test_a_family_is_its_models_on_the_named_benchmarks(recorded_family):
    experiment = load_experiment(recorded_family.path)
    assert family_partitions(experiment, "base", "qwen2.5", []) == [
        "short|qwen2.5-7b",
        "long|qwen2.5-7b",
        "short|qwen2.5-14b",
        "long|qwen2.5-14b",
    ]
    assert family_partitions(experiment, "base", "llama", ["long"]) == ["long|llama-tiny"]


def test_what_cannot_be_launched_says_why(refusal):
    assert "no family 'qwen3'; there are: qwen2.5, llama" in refusal("--family", "qwen3")
    assert "no benchmark middle; there are: short, long" in refusal("--family", "qwen2.5", "--benchmark", "middle")
    assert "has no student" in refusal("--family", "qwen2.5", "--lane", "student")
    assert "benchmark_problems[long], benchmark_problems[short] must be there first" in refusal("--family", "qwen2.5")


def test_where_no_page_answers_it_says_how_to_start_one(refusal, recorded_family):
    job = build_definitions(load_experiment(recorded_family.path)).resolve_job_def("recorded_benchmarks")
    assert job.execute_in_process(partition_key="short").success
    told = refusal("--family", "qwen2.5", "--benchmark", "short")
    assert f"no page answers at {NOBODY}: start it with gsr page" in told


def test_a_partition_has_ended_with_the_run_that_is_not_tried_again(monkeypatch):
    def run(partition: str, status: str, **tags: str) -> dict:
        named = {"dagster/partition": partition, **{f"dagster/{name}": value for name, value in tags.items()}}
        return {"status": status, "tags": [{"key": key, "value": value} for key, value in named.items()]}

    runs = [  # the newest first
        run("a", "SUCCESS"),
        run("a", "FAILURE", will_retry="true"),
        run("b", "FAILURE", will_retry="true"),
        run("c", "FAILURE"),
        run("d", "STARTED"),
    ]
    monkeypatch.setattr(Page, "ask", lambda *arguments, **variables: {"results": runs})
    assert Page(NOBODY).outcomes("id") == {"a": "SUCCESS", "c": "FAILURE"}
