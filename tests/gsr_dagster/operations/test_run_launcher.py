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

from gsr_dagster.operations.instance import DAGSTER_YAML
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
