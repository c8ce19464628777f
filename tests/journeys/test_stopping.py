"""What is stopped ends as a whole: a page by a signal or a kill, `gsr run` by Ctrl-C."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import yaml

from gsr_dagster.experiment.keys import ArtifactKey
from resources.store.artifacts import ArtifactStore
from tests import school
from tests.journeys.serving import free_port

SECONDS = 240
GSR = "from gsr_dagster.commands.main import main; main()"
# As a shell that is not interactive starts what stands before an &.
IN_THE_BACKGROUND = f"import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); {GSR}"
SLOW = f"""
import time
import resources.engines.loading
from tests import school

class Slow(school.ScriptedEngine):
    def sample(self, requests, settings):
        for number, finished in enumerate(super().sample(requests, settings)):
            time.sleep(0.05)
            if number == 5:
                print("half-way", flush=True)
                time.sleep(3)
            yield finished

if __name__ == "__main__":
    resources.engines.loading._engine = lambda model, checkpoint: Slow((0.5, 0.5))
    {GSR}
"""


def environment_of(home: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in ("DAGSTER_HOME", "GSR_ARTIFACTS")}
    return {**kept, "GSR_HOME": str(home)}


class Page:
    """`gsr page` of the recorded family, started from a script."""

    def __init__(self, family, home: Path):
        self.family, self.home, self.port = family, home, free_port()
        self.log = home.parent / "page.log"

    def command(self, program: str, port: int) -> list[str]:
        return [sys.executable, "-c", program, "-e", str(self.family.path), "page", "--port", str(port)]

    def start(self) -> None:
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                self.command(IN_THE_BACKGROUND, self.port), env=environment_of(self.home), stdout=log, stderr=log
            )
        self.wait(lambda: len(self.services()) == 2, "webserver and daemon")
        self.wait(self.answers, "an answer")
        self.below = psutil.Process(self.process.pid).children(recursive=True)

    def services(self) -> list[psutil.Process]:
        found = []
        for process in psutil.Process(self.process.pid).children(recursive=True):
            with suppress(psutil.Error):
                if {"dagster_webserver", "dagster._daemon"} & set(process.cmdline()):
                    found.append(process)
        return found

    def wait(self, condition, what: str, seconds: float = SECONDS) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"{what}: {self.log.read_text()[-3000:]}"
            time.sleep(0.2)

    def answers(self) -> bool:
        with socket.socket() as tried:
            return tried.connect_ex(("127.0.0.1", self.port)) == 0

    def is_gone(self) -> bool:
        return not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in self.below)

    def second(self, home: Path, port: int) -> str:
        command = self.command(GSR, port)
        ended = subprocess.run(command, env=environment_of(home), capture_output=True, text=True, timeout=SECONDS)
        assert ended.returncode == 1
        return ended.stderr


@contextmanager
def started(page: Page) -> Iterator[Page]:
    page.start()
    try:
        yield page
    finally:
        for process in [*page.below, psutil.Process()]:
            if process.pid != os.getpid():
                with suppress(psutil.Error):
                    process.kill()
        page.process.kill()
        page.process.wait()


def test_a_page_ends_as_a_whole_and_a_second_one_of_its_home_says_where_it_is(recorded_family, tmp_path):
    page = Page(recorded_family, tmp_path / "home")
    with started(page):
        told = page.second(page.home, free_port())
        assert f"is running: http://localhost:{page.port} (process {page.process.pid})" in told
        in_use = f"port {page.port}: Address already in use; name another one with --port"
        assert in_use in page.second(tmp_path / "other", page.port)
        page.process.send_signal(signal.SIGKILL)
        page.process.wait()
        page.wait(page.is_gone, "the end of all processes", 60)
    for number in (signal.SIGINT, signal.SIGTERM):
        with started(page):
            page.process.send_signal(number)
            assert page.process.wait(60) == 0, page.log.read_text()[-3000:]
            page.wait(page.is_gone, "the end of all processes", 60)
        assert "The page is stopped." in page.log.read_text()


def test_where_dagster_dev_is_killed_the_page_ends_with_a_sentence_and_all_it_started(recorded_family, tmp_path):
    page = Page(recorded_family, tmp_path / "home")
    with started(page):
        time.sleep(3)  # it looks at what runs every second
        (dagster,) = psutil.Process(page.process.pid).children()
        services = page.services()
        dagster.kill()
        assert page.process.wait(60) == 1
        assert "the page ended by itself; the lines above say why" in page.log.read_text()
        psutil.wait_procs(services, 60)
        assert not any(process.is_running() for process in services)


def test_ctrl_c_on_a_run_ends_with_a_sentence_and_what_was_drawn_is_kept(tmp_path):
    document = school.document(tmp_path)
    for part in ("students", "training_problems"):
        del document[part]
    (tmp_path / "school.yaml").write_text(yaml.safe_dump(document))
    (tmp_path / "slow.py").write_text(SLOW)
    command = [sys.executable, str(tmp_path / "slow.py"), "-e", str(tmp_path / "school.yaml"), "run"]
    environment = {**environment_of(tmp_path / "home"), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as run:
        assert run.stdout is not None
        assert any("half-way" in line for line in run.stdout)
        os.killpg(run.pid, signal.SIGINT)  # as a terminal does
        said, errors = run.communicate(timeout=SECONDS)
    assert (run.returncode, errors) == (
        130,
        "Stopped. What was finished or drawn stays: gsr run goes on from there.\n",
    ), said
    store = ArtifactStore(root=str(tmp_path / "home" / "artifacts" / "school"))
    folders = Path(store.root).glob("base/candidate_pools/sums/*/*")
    (kept,) = [path for folder in folders for path in folder.glob("shard-*")]
    again = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=SECONDS)
    assert again.returncode == 0, again.stderr
    model = kept.parts[-3]
    rows = store.read(ArtifactKey("base/candidate_pools", f"sums|{model}"))
    assert set(Counter(row["candidate_id"] for row in rows).values()) == {1}
    assert len(rows) == 24 * 4
    manifest = store.existing(ArtifactKey("base/candidate_pools", f"sums|{model}"))
    assert {shard.name: shard.rows for shard in manifest.shards}[kept.name] == 5 * 4
