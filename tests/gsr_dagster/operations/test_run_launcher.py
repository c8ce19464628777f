"""The page's run launcher looks for the processes that runs' logs name."""

import os
import subprocess
import sys

import dagster as dg
import pytest
import yaml
from dagster._core.events import EngineEventData
from dagster._core.launcher import WorkerStatus
from dagster._core.test_utils import create_run_for_test, instance_for_test

from gsr_dagster.definitions import defs
from gsr_dagster.experiment.errors import UserError
from gsr_dagster.operations.instance.preparing import DAGSTER_YAML
from gsr_dagster.operations.run_launcher import lives


@pytest.fixture
def instance():
    with instance_for_test(overrides=yaml.safe_load(DAGSTER_YAML)) as instance:
        yield instance


def status_of_a_run_begun_by(instance: dg.DagsterInstance, *pids: int) -> WorkerStatus:
    run = create_run_for_test(instance, status=dg.DagsterRunStatus.STARTED)
    instance.report_engine_event("launched", run)
    for pid in pids:
        instance.report_engine_event("begun", run, EngineEventData.in_process(pid))
    return instance.run_launcher.check_run_worker_health(run).status


def test_a_run_lives_as_long_as_the_process_that_began_it(instance):
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass
    assert instance.run_launcher.supports_check_run_worker_health
    assert status_of_a_run_begun_by(instance, ended.pid) is WorkerStatus.NOT_FOUND
    assert status_of_a_run_begun_by(instance, ended.pid, os.getpid()) is WorkerStatus.NOT_FOUND
    assert status_of_a_run_begun_by(instance, os.getpid(), ended.pid) is WorkerStatus.RUNNING
    assert status_of_a_run_begun_by(instance) is WorkerStatus.RUNNING


def test_a_number_that_another_process_has_by_now_is_no_sign_of_life():
    assert lives(os.getpid(), wrote=2e10)
    assert not lives(os.getpid(), wrote=0.0)


def test_a_process_that_ended_and_was_not_waited_for_is_dead():
    with subprocess.Popen([sys.executable, "-c", ""], stdout=subprocess.PIPE) as ended:
        assert ended.stdout is not None
        ended.stdout.read()
        os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
        assert not lives(ended.pid, wrote=2e10)


def test_a_step_that_finds_its_input_bad_is_not_tried_again_and_a_killed_run_is(instance):
    @dg.asset
    def bad() -> None:
        raise UserError("no such file")

    failed = dg.materialize([bad], instance=instance, raise_on_error=False).run_id
    killed = create_run_for_test(instance, status=dg.DagsterRunStatus.STARTED)
    instance.report_run_failed(killed, "its process is gone")  # as run monitoring does
    assert [instance.get_run_by_id(run).tags["dagster/will_retry"] for run in (failed, killed.run_id)] == [
        "false",
        "true",
    ]


@pytest.mark.parametrize(("faulty", "again"), [("k: none\n", "false"), (None, "true")])
def test_a_run_that_an_experiment_file_does_not_let_begin_is_not_tried_again(
    instance, tmp_path, monkeypatch, faulty, again
):
    run = create_run_for_test(instance, status=dg.DagsterRunStatus.STARTING)
    other = create_run_for_test(instance, status=dg.DagsterRunStatus.STARTING)
    instance.report_engine_event("begun", run, EngineEventData.in_process(os.getpid()))
    instance.report_engine_event("begun", other, EngineEventData.in_process(os.getppid()))
    if faulty:
        (tmp_path / "mine.yaml").write_text(faulty)
        monkeypatch.setenv("GSR_EXPERIMENT", str(tmp_path / "mine.yaml"))
        with pytest.raises(UserError):
            defs()
    for begun in (run, other):
        instance.report_run_failed(begun)
    assert instance.get_run_by_id(run.run_id).tags["dagster/will_retry"] == again
    assert instance.get_run_by_id(other.run_id).tags["dagster/will_retry"] == "true"
