"""What the sensor would make again, by Dagster's own evaluation of the conditions."""

import dagster as dg
import pytest

from gsr_dagster.definitions import build_definitions
from gsr_dagster.experiment.keys import asset_of, page_key
from gsr_dagster.experiment.loading import load_experiment
from resources.engines.loading import Engines

EVALUATION = ("candidate_pools", "graded_candidates", "self_refinements", "gap_reports")


class Lab:
    """The recorded family on an instance of its own; a run's success, and what a tick would request."""

    def __init__(self, family):
        self.family = family
        self.instance = dg.DagsterInstance.ephemeral()

    def run(self, job: str, partition: str | None = None) -> bool:
        Engines().release()  # as in a process of its own
        definitions = build_definitions(load_experiment(self.family.path))
        done = definitions.resolve_job_def(f"recorded_{job}").execute_in_process(
            instance=self.instance, partition_key=partition, raise_on_error=False
        )
        return done.success

    def stop(self, job: str, partition: str, *assets: str) -> None:
        """Cancel a run of the partition while it waits, as the page's Terminate does."""
        definitions = build_definitions(load_experiment(self.family.path))
        run = self.instance.create_run_for_job(
            definitions.resolve_job_def(f"recorded_{job}").get_subset(
                asset_selection={page_key("recorded", name) for name in assets} or None
            ),
            tags={"dagster/partition": partition},
        )
        self.instance.report_run_canceled(run)

    def requested(self) -> set[tuple[str, str | None]]:
        definitions = build_definitions(load_experiment(self.family.path))
        result = dg.evaluate_automation_conditions(definitions, self.instance)
        keys = definitions.resolve_asset_graph().get_all_asset_keys()
        return {(asset_of(key), partition) for key in keys for partition in result.get_requested_partitions(key)}


def lane_of(*partitions: str) -> set[tuple[str, str]]:
    return {(f"base/{name}", partition) for name in EVALUATION for partition in partitions}


@pytest.fixture
def lab(recorded_family, tmp_path, monkeypatch):
    monkeypatch.setenv("GSR_HOME", str(tmp_path / "home"))
    recorded_family.write(samples=2)
    lab = Lab(recorded_family)
    assert lab.run("benchmarks", "short")
    assert lab.run("base_evaluation", "short|qwen2.5-7b")
    return lab


def test_what_was_never_made_and_what_is_current_are_left_alone(lab):
    assert lab.requested() == set()


def test_a_raised_n_refreshes_the_whole_lane_of_what_was_made(lab):
    lab.family.write(samples=4)
    assert lab.requested() == lane_of("short|qwen2.5-7b")
    assert lab.run("base_evaluation", "short|qwen2.5-7b")
    assert lab.requested() == set()


def test_what_waits_for_its_upstream_is_not_requested_beside_it(lab):
    (lab.family.folder / "short.jsonl").write_text('{"id": "0", "problem": "What is 0 + 0 + 0?", "answer": "0"}')
    assert lab.requested() == {("benchmark_problems", "short")}
    assert lab.run("benchmarks", "short")
    assert lab.requested() == lane_of("short|qwen2.5-7b")


def test_what_failed_is_left_to_people(lab):
    lab.family.record("7b", samples=2, problems=2)  # of the third nothing is recorded
    lab.family.write(samples=4)
    assert lab.requested() == lane_of("short|qwen2.5-7b")
    assert not lab.run("base_evaluation", "short|qwen2.5-7b")
    assert lab.requested() == set()


def test_what_was_stopped_by_hand_is_left_to_people(lab):
    lab.family.write(samples=4)
    lab.stop("base_evaluation", "short|qwen2.5-7b")
    assert lab.requested() == set()


def test_a_stopped_step_leaves_what_is_made_with_it_to_people_too(lab):
    lab.family.write(samples=4)
    lab.stop("base_evaluation", "short|qwen2.5-7b", "base/graded_candidates")
    assert lab.requested() == set()


def test_a_stopped_run_of_one_partition_leaves_the_others_alone(lab):
    assert lab.run("base_evaluation", "short|qwen2.5-14b")
    lab.family.write(samples=4)
    lab.stop("base_evaluation", "short|qwen2.5-7b")
    assert lab.requested() == lane_of("short|qwen2.5-14b")


def test_what_people_made_after_a_stopped_run_is_looked_after_again(lab):
    lab.family.write(samples=4)
    lab.stop("base_evaluation", "short|qwen2.5-7b")
    assert lab.run("base_evaluation", "short|qwen2.5-7b")
    lab.family.write(samples=2)
    assert lab.requested() == lane_of("short|qwen2.5-7b")


def test_what_is_downstream_of_a_stopped_run_waits(lab):
    (lab.family.folder / "short.jsonl").write_text('{"id": "0", "problem": "What is 0 + 0 + 0?", "answer": "0"}')
    lab.stop("benchmarks", "short")
    assert lab.requested() == set()
