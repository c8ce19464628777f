"""Alerts from end to end: a real daemon that is killed, receivers of which two are down, runs from command lines."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest
import yaml

from tests.running import instance_in

BIN = Path(sys.executable).parent
SECRET = "T000SECRET"
ROLLOUT = {"temperature": 1.0, "max_new_tokens": 16}
# The runs come from other code locations and processes than the sensors.
ALERTS = """
import dagster as dg
from gsr_dagster.operations.alerts.sensors import alert_sensors

defs = dg.Definitions(sensors=alert_sensors(interval=1))
"""
WAITING = """
import time
import dagster as dg

@dg.op
def wait():
    while True:
        time.sleep(0.1)

@dg.job
def waiting():
    wait()

if __name__ == "__main__":
    waiting.execute_in_process(instance=dg.DagsterInstance.get())
"""


PATIENCE = 300  # seconds; a wait this long is a fault, also on a busy machine


def until(what: str, condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {PATIENCE} s"
        time.sleep(0.2)


def recorded_experiment(folder: Path) -> Path:
    """An experiment without a model: one gold cannot be read."""
    problems = [{"problem": f"{n} + {n}?", "answer": str(2 * n) if n else "\\frac{"} for n in range(2)]
    rows = [{**row, "problem_id": str(n), "response": "\\boxed{2}"} for n, row in enumerate(problems) for _ in "ab"]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    document = {
        "name": "recorded",
        "k": 2,
        "families": {"gpt": {"x": {"parameters": 1, "engine": {"kind": "recorded", "path": "samples"}}}},
        "benchmarks": {"sums": {"source": "file:samples/problems.jsonl", "samples": 2, "domain": "math"}},
        "evaluation": {"direct": ROLLOUT, "refinement": ROLLOUT, "candidate_tokens": 64},
    }
    path = folder / "experiment.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


class Daemon:
    """dagster-daemon with a workspace file, in a process group of its own."""

    def __init__(self, folder: Path, environment: dict[str, str], instance: dg.DagsterInstance):
        self.folder, self.environment, self.instance = folder, environment, instance
        self.process: subprocess.Popen | None = None

    def start(self) -> None:
        with (self.folder / "daemon.log").open("a") as log:
            self.process = subprocess.Popen(
                [str(BIN / "dagster-daemon"), "run", "-w", str(self.folder / "workspace.yaml")],
                env=self.environment,
                cwd=self.folder,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def kill(self) -> None:
        """SIGKILL for it and the code server it started, as when the machine loses power."""
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None


@pytest.fixture
def environment(tmp_path, inbox, topic, s3_environment) -> dict[str, str]:
    return {
        **os.environ,
        **s3_environment,
        "GSR_HOME": str(tmp_path / "home"),
        "DAGSTER_HOME": str(tmp_path / "home" / "dagster"),
        "GSR_ALERT_SLACK": f"{inbox.address}/slack/{SECRET}",
        "GSR_ALERT_WEBHOOK": f"{inbox.address}/hook/{SECRET}",
        "GSR_ALERT_SNS_TOPIC": topic[0],
        "GSR_PAGE_URL": "http://page.example:3000",
    }


@pytest.fixture
def daemon(tmp_path, environment):
    (tmp_path / "alerts.py").write_text(ALERTS)
    (tmp_path / "workspace.yaml").write_text("load_from:\n  - python_file: alerts.py\n")
    Path(environment["DAGSTER_HOME"]).mkdir(parents=True)
    (tmp_path / "home" / "dagster" / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    # Made before any process starts: Dagster's processes do not wait for one another when they make its tables.
    with instance_in(environment["DAGSTER_HOME"]) as instance:
        daemon = Daemon(tmp_path, environment, instance)
        yield daemon
        daemon.kill()
        print((tmp_path / "daemon.log").read_text())  # shown where the test fails


@pytest.fixture
def waiting(tmp_path, environment, daemon):
    """The process of a run that waits until it is cancelled."""
    (tmp_path / "waiting.py").write_text(WAITING)
    process = subprocess.Popen([sys.executable, "waiting.py"], env=environment, cwd=tmp_path)
    yield process
    process.kill()
    process.wait()


def test_every_alert_reaches_every_receiver_once_though_two_are_down_and_the_daemon_is_killed(
    tmp_path, environment, daemon, waiting, inbox, topic
):
    instance = daemon.instance
    names = {f"gsr/alerts/{name}" for name in ("slack", "webhook", "sns")}
    experiment = recorded_experiment(tmp_path)
    gsr = [str(BIN / "gsr"), "--experiment", str(experiment)]
    named = ["--to", str(tmp_path / "samples"), "--model", "gpt-x", "--parameters", "1"]

    inbox.status = 503
    daemon.start()
    told = subprocess.run([*gsr, "import", str(tmp_path / "rows.jsonl"), *named], env=environment, timeout=PATIENCE)
    assert told.returncode == 0
    problems = tmp_path / "samples" / "problems.jsonl"
    problems.write_text(
        problems.read_text().replace('"answer": "2"', '"answer": "\\\\frac{"')
    )  # now none can be scored
    until("alerts begin", lambda: len(instance.daemon_cursor_storage.get_cursor_values(names)) == 3)

    ran = subprocess.run([*gsr, "run"], env=environment, capture_output=True, text=True, timeout=PATIENCE)
    assert ran.returncode == 1
    assert "nothing can be scored" in ran.stdout + ran.stderr

    _, received = topic
    sns: list[dict] = []
    until("two of SNS", lambda: sns.extend(received()) or len(sns) == 2)
    until("refusals", lambda: all(inbox.refused(f"/{path}/{SECRET}") for path in ("slack", "hook")))
    until("SNS is noted", lambda: '"taken": []' in sns_position(instance))
    daemon.kill()

    until("the run waits", lambda: steps_started(instance, "waiting"))
    instance.report_run_canceling(instance.get_runs(dg.RunsFilter(job_name="waiting"))[0])
    waiting.send_signal(signal.SIGINT)  # both, as the page's Terminate does
    waiting.wait(timeout=PATIENCE)
    inbox.status = 200
    daemon.start()

    def everywhere() -> bool:
        sns.extend(received())
        counts = [len(inbox.taken(f"/{path}/{SECRET}")) for path in ("slack", "hook")]
        return min(*counts, len(sns)) >= 3

    until("three everywhere", everywhere)
    until("a tick with nothing new", lambda: "Nothing new." in last_ticks(instance))
    sns.extend(received())

    hook = inbox.taken(f"/hook/{SECRET}")
    assert [message["kind"] for message in hook] == ["check failed", "run failed", "run cancelled"]
    check, failed, _ = hook
    assert (check["severity"], check["asset"], check["check"]) == (
        "WARN",
        "recorded/benchmark_problems",
        "problems_sound",
    )
    assert (check["partition"], check["experiment"]) == ("sums", "recorded")
    assert "sums/0" in json.dumps(check["measured"])
    assert "WARN golds_readable on recorded/base/graded_candidates" in failed["measured"]
    assert (failed["severity"], failed["partition"]) == ("ERROR", "sums|gpt-x")
    assert "nothing can be scored" in failed["description"]
    ids = [message["id"] for message in hook]
    assert len(set(ids)) == 3
    assert {run.run_id for run in instance.get_runs()} >= {message["run_id"] for message in hook}
    assert sorted(message["MessageAttributes"]["id"]["Value"] for message in sns) == sorted(ids)
    slack = [message["text"] for message in inbox.taken(f"/slack/{SECRET}")]
    assert len(slack) == 3
    for message, text in zip(hook, slack, strict=True):
        assert f"http://page.example:3000/runs/{message['run_id']}" in text

    assert "it answered 503" in (tmp_path / "daemon.log").read_text()
    daemon.kill()
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert SECRET.encode() not in written
    assert topic[0].encode() not in written


def sns_position(instance: dg.DagsterInstance) -> str:
    return instance.daemon_cursor_storage.get_cursor_values({"gsr/alerts/sns"})["gsr/alerts/sns"]


def steps_started(instance: dg.DagsterInstance, job: str) -> bool:
    step = dg.DagsterEventType.STEP_START
    return any(instance.all_logs(run.run_id, of_type=step) for run in instance.get_runs(dg.RunsFilter(job_name=job)))


def last_ticks(instance: dg.DagsterInstance) -> list[str | None]:
    """What the webhook's sensor said in its last tick."""
    (state,) = [s for s in instance.all_instigator_state() if s.instigator_name == "alerts_to_webhook"]
    ticks = instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=1)
    return [tick.tick_data.skip_reason for tick in ticks]
