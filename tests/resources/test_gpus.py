"""GPUs are pretended here: CUDA_VISIBLE_DEVICES names some that no other process of the machine knows."""

import os
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest

from resources.gpus import GPUError, hold, uuids, visible, want

ROOT = Path(__file__).parents[2]
HOLDS = """
import logging, os, sys
from resources.gpus import hold, want
logging.basicConfig(stream=sys.stderr, level="INFO", format="%(message)s")
want(int(sys.argv[1]))
hold(1)
print(os.environ["CUDA_VISIBLE_DEVICES"], flush=True)
sys.stdin.read()
"""


class Holder:
    """A process that takes GPUs and keeps them until its input ends."""

    def __init__(self, names: str, count: int):
        environment = {**os.environ, "CUDA_VISIBLE_DEVICES": names, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-c", HOLDS, str(count)]
        self.process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def gpus(self) -> list[str]:
        """Wait until it has them, and return them."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip().split(",")

    def says(self) -> str:
        """Return the next line that it logs."""
        assert self.process.stderr is not None
        return self.process.stderr.readline().strip()

    def end(self) -> None:
        self.process.communicate("")

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def names():
    """Return the names of four GPUs."""
    return ",".join(f"{uuid4().hex[:8]}-{number}" for number in range(4))


@pytest.fixture
def started():
    """Return a list of processes, which end with the test."""
    holders: list[Holder] = []
    yield holders
    for holder in holders:
        holder.kill()


def holding(started: list[Holder], names: str, *counts: int) -> list[Holder]:
    new = [Holder(names, count) for count in counts]
    started += new
    return new


def test_no_gpu_is_held_by_two_processes(names, started):
    one, two, three = holding(started, names, 1, 2, 1)

    assert sorted(one.gpus() + two.gpus() + three.gpus()) == sorted(names.split(","))


@pytest.mark.parametrize("ended", [Holder.end, Holder.kill])
def test_gpus_are_given_back_when_a_process_ends_or_is_killed(names, started, ended):
    (first,) = holding(started, names, 4)
    assert first.gpus() == names.split(",")
    (second,) = holding(started, names, 1)
    assert second.says() == "waiting until 1 of 4 GPUs are free"

    ended(first)

    assert second.gpus() == names.split(",")[:1]


def test_one_that_needs_many_comes_before_those_that_came_later_and_need_few(names, started):
    first, second = holding(started, names, 2, 1)
    taken = first.gpus() + second.gpus()
    (many,) = holding(started, names, 4)
    assert many.says() == "waiting until 4 of 4 GPUs are free"
    (late,) = holding(started, names, 1)
    assert late.says() == "waiting for 1 GPUs, behind another run that waits"

    first.end()
    second.end()

    assert sorted(taken) != sorted(many.gpus()) == sorted(names.split(","))
    many.end()
    assert len(late.gpus()) == 1


def test_a_process_that_was_handed_the_locks_keeps_the_gpus_of_one_that_was_killed(names, started, tmp_path):
    """So a training is never joined on its GPUs while it ends."""
    child = "import sys; from resources.gpus import held; import subprocess\n"
    ends = f"import os, time\nwhile not os.path.exists({str(tmp_path / 'end')!r}): time.sleep(0.05)"
    child += f"subprocess.Popen([sys.executable, '-c', {ends!r}], pass_fds=held(), stdout=2)\n"
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": names, "PYTHONPATH": str(ROOT)}
    script = HOLDS.replace("print(", child + "print(", 1)
    with subprocess.Popen(
        [sys.executable, "-c", script, "4"], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as killed:
        assert killed.stdout is not None
        assert killed.stdout.readline()
        killed.kill()
    (next_one,) = holding(started, names, 1)
    assert next_one.says() == "waiting until 1 of 4 GPUs are free"

    (tmp_path / "end").touch()

    assert next_one.gpus()


def test_more_gpus_than_there_are_is_an_error_that_says_both(monkeypatch, names):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", names)
    monkeypatch.setattr("resources.gpus._wanted", 8)

    with pytest.raises(GPUError, match="8 GPUs are asked for at once, and this machine has 4"):
        hold(8)


def test_nothing_is_taken_on_a_cpu_or_where_nothing_was_wanted(monkeypatch, names):
    monkeypatch.setattr("resources.gpus._wanted", 0)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", names)
    hold(1)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == names

    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    want(2)
    hold(1)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == ""


@pytest.mark.parametrize(
    ("variable", "names"),
    [
        ("0,2", ["0", "2"]),
        ("", []),
        ("-1", []),
        ("1,-1,2", ["1"]),
        ("GPU-8932f937,MIG-41b2", ["GPU-8932f937", "MIG-41b2"]),
    ],
)
def test_the_variable_of_a_scheduler_says_which_gpus_there_are(monkeypatch, variable, names):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", variable)

    assert visible() == names


@pytest.fixture
def nvidia_smi(tmp_path, monkeypatch):
    """Put a program in the place of NVIDIA's, on a machine with two GPUs."""
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho '0, GPU-8932f937-d72c'\necho '1, GPU-41b20c11-9a3e'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")


def test_a_gpu_is_known_by_its_uuid_whatever_it_is_called(nvidia_smi):
    """Schedulers number a job's GPUs from 0: two jobs of a machine each have another GPU 0."""
    assert uuids(["1", "GPU-8932f937"]) == ["GPU-41b20c11-9a3e", "GPU-8932f937-d72c"]
    assert uuids(["MIG-7c1f", "5"]) == ["MIG-7c1f", "5"]


def test_without_nvidias_driver_a_gpu_is_known_by_its_name(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert uuids(["0", "1"]) == ["0", "1"]
