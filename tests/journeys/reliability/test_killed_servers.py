"""The page's processes killed in the middle of a backfill: started again it goes on, and nothing counts that is not there."""

import os
import signal
import subprocess
import time
from collections import Counter
from contextlib import AbstractContextManager

import dagster as dg
import psutil
import pytest

from gsr_dagster.experiment.keys import ArtifactKey, page_key
from gsr_dagster.experiment.loading import load_experiment
from gsr_dagster.operations.backfilling import evaluation_lanes, family_partitions, to_launch
from gsr_dagster.operations.home import artifact_store
from tests.journeys.reliability.full_numbers import times
from tests.running import instance_in

PATIENCE = 240
VICTIMS = ["everything", *times([], ["daemon", "webserver", "run"])]


def instance_of(served) -> AbstractContextManager[dg.DagsterInstance]:
    return instance_in(served.environment["GSR_HOME"] + "/dagster")


def until(condition, what: str):
    """Return what a condition returns once it is true."""
    deadline = time.monotonic() + PATIENCE
    while not (value := condition()):
        assert time.monotonic() < deadline, f"{what} did not happen in {PATIENCE} s"
        time.sleep(0.2)
    return value


def process_in_the_middle_of_a_run(instance: dg.DagsterInstance, **tags: str) -> int:
    """Return the process of a run, of those with these tags, that has made its first asset and not its last."""
    running = dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED], tags=tags)

    def found() -> int | None:
        for run in instance.get_runs(running):
            events = [entry.dagster_event for entry in instance.all_logs(run.run_id) if entry.dagster_event]
            if any(event.is_step_materialization for event in events):
                pids = [e.engine_event_data.metadata["pid"].value for e in events if e.is_engine_event and "pid" in e.engine_event_data.metadata]  # fmt: skip
                return int(pids[0])
        return None

    return until(found, "a run")


def victims(served, named: str, run: int) -> list[int]:
    page = psutil.Process(served.process.pid)
    below = page.children(recursive=True)
    modules = {"daemon": "dagster._daemon", "webserver": "dagster_webserver"}
    return {
        "run": [run],
        "everything": [page.pid, *(process.pid for process in below)],
    }.get(named) or [process.pid for process in below if modules[named] in process.cmdline()]


def claims_without_an_artifact(served, instance: dg.DagsterInstance) -> list[ArtifactKey]:
    """Return what Dagster holds for materialized although no manifest says so."""
    experiment = load_experiment(served.family.path)
    store, lane = artifact_store(experiment), evaluation_lanes(experiment, "base")[0]
    claimed = [
        ArtifactKey(asset, partition)
        for asset in lane.assets
        for partition in instance.get_materialized_partitions(page_key(experiment.name, asset))
    ]
    return [key for key in claimed if store.manifest(key) is None]


def kill_gsr_run(served, instance: dg.DagsterInstance) -> None:
    """Kill a `gsr run` half-way: as far as Dagster knows it goes on, and holds the pool."""
    with subprocess.Popen(served.command("run"), env=served.environment, stdout=subprocess.DEVNULL) as process:
        assert process_in_the_middle_of_a_run(instance) == process.pid
        process.kill()


@pytest.mark.parametrize("victim", VICTIMS)
def test_a_backfill_goes_on_where_it_was_killed(served, victim):
    served.wait_until_it_answers()
    with instance_of(served) as instance:
        kill_gsr_run(served, instance)
        launched = served.backfill()
        assert launched.returncode == 0, launched.stderr
        backfill = launched.stdout.split()[1].rstrip(":")
        run = process_in_the_middle_of_a_run(instance, **{"dagster/backfill": backfill})
        for pid in victims(served, victim, run):
            os.kill(pid, signal.SIGKILL)
        assert claims_without_an_artifact(served, instance) == []
        if victim != "run":
            served.process.wait(PATIENCE)  # the page ends with its daemon or its server
            served.start()
            served.wait_until_it_answers()
        until(lambda: len(served.page.outcomes(backfill)) == 4, "the end of the backfill")
        assert set(served.page.outcomes(backfill).values()) == {"SUCCESS"}
        assert claims_without_an_artifact(served, instance) == []
        ended = Counter(run.status for run in instance.get_runs())
    experiment = load_experiment(served.family.path)
    lane = evaluation_lanes(experiment, "base")[0]
    partitions = family_partitions(experiment, "base", "qwen2.5", [])
    assert to_launch(artifact_store(experiment), lane, partitions, only_missing=True) == ([], 4)
    assert ended.keys() == {dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE}
    died = 2 if victim in ("run", "everything") else 1  # `gsr run` too
    # One more where the next run was just being launched.
    assert ended[dg.DagsterRunStatus.FAILURE] in (died, died + 1)
