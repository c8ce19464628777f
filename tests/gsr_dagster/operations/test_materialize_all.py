"""How "Materialize all" and a backfill of a lane become runs: Dagster's own backfill, tick by tick, in a real workspace."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster._core.events import DagsterEvent, StepMaterializationData
from dagster._core.execution.backfill import PartitionBackfill
from dagster._core.test_utils import create_test_daemon_workspace_context, instance_for_test
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import ModuleTarget
from dagster._daemon.backfill import execute_backfill_iteration

from gsr_dagster.experiment.keys import asset_of
from gsr_dagster.experiment.loading import SHIPPED, load_experiment
from gsr_dagster.operations.lanes import Lane, lanes

NOTHING_RUNS = {"run_launcher": {"module": "dagster._core.test_utils", "class": "MockedRunLauncher"}}
MOST_TICKS = 20


class Backfill:
    """A backfill of all partitions of some lanes, whose runs succeed when the test says so."""

    def __init__(self, instance: dg.DagsterInstance, workspace: WorkspaceProcessContext, chosen: list[Lane]):
        self.instance, self.workspace = instance, workspace
        graph = workspace.create_request_context().asset_graph
        wanted = {asset for lane in chosen for asset in lane.assets}
        backfill = PartitionBackfill.from_asset_partitions(
            asset_graph=graph,
            backfill_id="all",
            tags={},
            backfill_timestamp=0.0,
            asset_selection=[key for key in graph.get_all_asset_keys() if asset_of(key) in wanted],
            partition_names=None,
            dynamic_partitions_store=instance,
            all_partitions=True,
            title=None,
            description=None,
            run_config=None,
        )
        instance.add_backfill(backfill)

    def tick(self) -> None:
        assert not any(execute_backfill_iteration(self.workspace, logging.getLogger(__name__)))

    def end(self, wanted: Callable[[dg.DagsterRun], bool] = lambda run: True) -> None:
        """Let the runs that are wanted succeed."""
        for run in self.instance.get_runs():
            if not run.is_finished and wanted(run):
                for key in run.asset_selection or ():
                    made = StepMaterializationData(dg.AssetMaterialization(key, partition=partition_of(run)))
                    event = DagsterEvent("ASSET_MATERIALIZATION", run.job_name, event_specific_data=made)
                    self.instance.report_dagster_event(event, run.run_id)
                self.instance.report_dagster_event(DagsterEvent("PIPELINE_SUCCESS", run.job_name), run.run_id)

    def finish(self) -> None:
        for _ in range(MOST_TICKS):
            before = len(self.instance.get_runs())
            self.end()
            self.tick()
            if len(self.instance.get_runs()) == before:
                return

    @property
    def runs(self) -> list[tuple[str, ...]]:
        """The partition and the assets of every run, sorted."""
        runs = [(partition_of(run) or "", run.asset_selection or ()) for run in self.instance.get_runs()]
        return sorted((partition, *sorted(map(asset_of, assets))) for partition, assets in runs)


def partition_of(run: dg.DagsterRun) -> str | None:
    return run.tags.get("dagster/partition")


def one_run_a_partition(chosen: list[Lane]) -> list[tuple[str, ...]]:
    return sorted((partition, *sorted(lane.assets)) for lane in chosen for partition in lane.partitions)


@pytest.fixture(params=["recorded", "demo"])
def experiment_file(request, recorded_family) -> Path:
    if request.param == "rounds":
        return request.getfixturevalue("with_rounds")
    return recorded_family.path if request.param == "recorded" else SHIPPED / "demo.yaml"


@pytest.fixture
def backfill(experiment_file, tmp_path, monkeypatch) -> Iterator[Callable[[list[Lane]], Backfill]]:
    """What begins a backfill on an instance and a code server of its own."""
    monkeypatch.setenv("GSR_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GSR_EXPERIMENT", str(experiment_file))
    target = ModuleTarget("gsr_dagster.definitions", None, str(tmp_path), "gsr_dagster")
    with (
        instance_for_test(overrides=NOTHING_RUNS) as instance,
        create_test_daemon_workspace_context(target, instance) as workspace,
    ):
        yield lambda chosen: Backfill(instance, workspace, chosen)


def test_a_backfill_of_a_lane_is_one_run_a_partition(backfill, experiment_file):
    chosen = [lane for lane in lanes(load_experiment(experiment_file)) if lane.name == "base_evaluation"]
    begun = backfill(chosen)
    begun.tick()
    assert begun.runs == one_run_a_partition(chosen)


def test_materialize_all_is_one_run_a_partition_though_benchmarks_are_not_loaded_at_once(backfill, experiment_file):
    chosen = lanes(load_experiment(experiment_file))
    begun = backfill(chosen)
    begun.tick()
    first, *_ = chosen[0].partitions
    begun.end(lambda run: partition_of(run) == first)
    begun.tick()
    begun.finish()
    *partitioned, reports = chosen  # the report of the base models does not wait for the students
    assert [run for run in begun.runs if not set(run) & set(reports.assets)] == one_run_a_partition(partitioned)


@pytest.fixture
def with_rounds(tmp_path) -> Path:
    """The demo with a student of its student, and one of that one."""
    document = yaml.safe_load((SHIPPED / "demo.yaml").read_text())
    ((first, student),) = document["students"].items()
    document["students"] |= {
        f"{first}-2": {**student, "base": first},
        f"{first}-3": {**student, "teacher": f"{first}-2"},
    }
    path = tmp_path / "rounds.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return path


@pytest.mark.parametrize("experiment_file", ["rounds"], indirect=True)
def test_materialize_all_makes_the_rounds_in_their_order(backfill, experiment_file):
    experiment = load_experiment(experiment_file)
    begun = backfill(lanes(experiment))
    order: list[str] = []
    for _ in range(MOST_TICKS):
        begun.tick()
        runs = begun.instance.get_runs()
        new = {partition_of(run) for run in runs if "lora_checkpoints" in map(asset_of, run.asset_selection or ())} - {
            *order
        }
        assert len(new) <= 1  # a round has one student here, and waits for the one before
        order += sorted(new)
        begun.end()
    assert order == [student for students in experiment.rounds.values() for student in students]
    *partitioned, reports = lanes(experiment)
    assert [run for run in begun.runs if not set(run) & set(reports.assets)] == one_run_a_partition(partitioned)
