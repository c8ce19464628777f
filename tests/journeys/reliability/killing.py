"""A `gsr run` that can be watched and killed: its processes, what its log says it does, and the moment to strike."""

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import yaml

from gsr_dagster.operations.instance.preparing import DAGSTER_YAML
from tests.journeys.reliability.forked import Forks

EVENT = re.compile(r"^([\d.]+) \S+ - \S+ - \d+ - (\w+) - (STEP_START|STEP_SUCCESS) - ", re.MULTILINE)
GOES_ON = re.compile(r"(\S+): (\d+) of \d+ samples are there, drawing \d+")
SECONDS_BETWEEN_LOOKS = 0.02
SECONDS_OF_A_GLANCE = 0.0005


@dataclass(frozen=True)
class Moment:
    """``offset`` seconds after a step began, by its place in the order; step -1 is the start of the command.

    ``writing``: from there on, as soon as a file is half written.
    """

    step: int
    offset: float
    writing: bool = False


class Attempt:
    """One `gsr run` on what stands in a folder, its processes in a group of their own."""

    def __init__(self, folder: Path, experiment: Path, environment: dict[str, str], forks: Forks | None = None):
        self.home = folder / "home"
        self.log = folder / "events.log"
        self.output = folder / "output.log"
        self.lost_a_helper = False
        self.log.unlink(missing_ok=True)
        self._tell_the_log()
        self._left = _half_written(self.home)
        own = {"GSR_HOME": str(self.home), "COLUMNS": "160", **environment}
        whole = {name: value for name, value in {**os.environ, **own}.items() if name != "DAGSTER_HOME"}
        arguments = ["--experiment", str(experiment), "run"]
        self.started = time.time()
        if forks:
            self.process = forks.start(arguments, whole, folder, self.output)
        else:
            command = [str(Path(sys.executable).with_name("gsr")), *arguments]
            with self.output.open("w") as output:
                self.process = subprocess.Popen(
                    command, env=whole, cwd=folder, stdout=output, stderr=output, process_group=0
                )

    def _tell_the_log(self) -> None:
        """Have Dagster write its events to a file too, as its settings allow."""
        settings = yaml.safe_load(DAGSTER_YAML)
        file = {"class": "logging.FileHandler", "filename": str(self.log), "level": "DEBUG", "formatter": "timed"}
        settings["python_logs"]["dagster_handler_config"] = {
            "handlers": {"told": file},
            "formatters": {"timed": {"format": "%(created)f %(message)s"}},
        }
        place = self.home / "dagster" / "dagster.yaml"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(yaml.safe_dump(settings))

    @property
    def said(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def events(self) -> list[tuple[float, str, str]]:
        """Return when which step began and ended: (seconds since the start, step, STEP_START or STEP_SUCCESS)."""
        return [(float(at) - self.started, step, event) for at, step, event in EVENT.findall(self.said)]

    def step(self) -> str:
        """Return the step that the run is in, "" between steps."""
        events = self.events()
        return events[-1][1] if events and events[-1][2] == "STEP_START" else ""

    def went_on_from(self) -> dict[str, int]:
        """Return how many samples the run said it found, by artifact."""
        return {key: int(there) for key, there in GOES_ON.findall(self.said)}

    def reach(self, moment: Moment, order: list[str]) -> bool:
        """Wait for a moment. Returns False where the run ended before it."""
        for _ in self._looks():
            begun = [order.index(step) for _, step, event in self.events() if event == "STEP_START"]
            if max(begun, default=-1) >= moment.step:
                break
        end = time.monotonic() + moment.offset
        while time.monotonic() < end and self.process.poll() is None:
            time.sleep(min(SECONDS_BETWEEN_LOOKS, moment.offset))
        if moment.writing:
            while self.process.poll() is None and not self.half_written():
                time.sleep(SECONDS_OF_A_GLANCE)
        return self.process.poll() is None

    def _looks(self) -> Iterator[None]:
        while self.process.poll() is None:
            yield
            time.sleep(SECONDS_BETWEEN_LOOKS)

    def kill_everything(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def kill_the_run_alone(self) -> None:
        """Leave the processes that train and grade without the one that started them."""
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def kill_a_helper(self, rng: random.Random) -> str:
        """Kill one of the processes that train and grade, and return what it was, "" where there is none."""
        helpers = [(kind, p) for p in psutil.Process(self.process.pid).children(recursive=True) if (kind := _work(p))]
        if not helpers:
            return ""
        kind, helper = rng.choice(helpers)
        try:
            helper.kill()
        except psutil.NoSuchProcess:
            return ""
        self.lost_a_helper = True
        return kind

    def processes(self) -> list[psutil.Process]:
        """Return the processes of the group that live."""
        found = [process for process in psutil.process_iter(["status"]) if _group(process.pid) == self.process.pid]
        return [process for process in found if process.info["status"] != psutil.STATUS_ZOMBIE]

    def half_written(self) -> set[Path]:
        """Return the files that this run began to write and did not finish."""
        return _half_written(self.home) - self._left


def _work(process: psutil.Process) -> str:
    """Return what a process of the run does, "" for Dagster's own, which mirror its log."""
    try:
        line = " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return ""
    marks = {"resources.training.lora_training": "a training process", "forkserver": "a grading process"}
    return next((kind for mark, kind in marks.items() if mark in line), "")


def _group(pid: int) -> int:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return -1


def _half_written(home: Path) -> set[Path]:
    walked = os.walk(home / "artifacts")
    return {Path(folder, name) for folder, _, names in walked for name in names if ".writing-" in name}


def lose_the_local_disk(folder: Path) -> None:
    for name in ("home", "cache"):
        shutil.rmtree(folder / name, ignore_errors=True)
