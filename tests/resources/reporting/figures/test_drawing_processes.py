"""Figures that other processes draw: the same, whatever becomes of the process."""

import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from inspect import unwrap
from multiprocessing.synchronize import Event

import psutil
import pytest

from gsr_dagster.method.scoring.gap_summary import Stratum
from gsr_dagster.method.scoring.intervals import Interval
from resources.processes import stop
from resources.reporting.figures import drawing_processes
from resources.reporting.figures.drawing_processes import begin
from resources.reporting.figures.gap_plots import by_correct_plot

PLOT = unwrap(by_correct_plot)
SCORE = Interval(0.5, 0.4, 0.6, 0.05)


@pytest.fixture(autouse=True)
def two_cores(monkeypatch) -> Iterator[None]:
    monkeypatch.setattr(drawing_processes, "cores", lambda: [0, 1])
    drawing_processes._pool.cache_clear()
    yield
    stop(drawing_processes._pool())
    drawing_processes._pool.cache_clear()


def strata(subject: str) -> dict[str, list[Stratum]]:
    intervals = dict.fromkeys(["maj_at_k", "self_ref_at_k"], SCORE)
    return {subject: [Stratum(n, 5, 0.5, 0.5, 0.0, intervals) for n in range(3)]}


def here(shown: tuple, monkeypatch) -> bytes:
    with monkeypatch.context() as patch:
        patch.setattr(drawing_processes, "cores", lambda: [0])
        return begin(PLOT, shown)()


def processes() -> list[psutil.Process]:
    return [psutil.Process(pid) for pid in drawing_processes._pool()._pool_manager.worker_manager.workers]


def test_what_another_process_draws_is_what_this_one_draws(monkeypatch):
    every = [(strata(f"model {number}"),) for number in range(4)]
    begun = [begin(PLOT, shown) for shown in every]
    assert [drawn() for drawn in begun] == [here(shown, monkeypatch) for shown in every]
    assert 0 < len(processes()) <= 2


def test_where_a_process_is_killed_the_figure_is_drawn_here_and_the_next_in_another(monkeypatch):
    begin(PLOT, (strata("first"),))()
    stopped, second = processes(), (strata("second"),)
    for process in stopped:
        os.kill(process.pid, signal.SIGSTOP)
    begun = begin(PLOT, second)
    for process in stopped:
        os.kill(process.pid, signal.SIGKILL)
    assert begun() == here(second, monkeypatch)
    begin(PLOT, second)()
    assert begin(PLOT, second)() == here(second, monkeypatch)
    assert processes()
    assert not set(processes()) & set(stopped)


def draw_and_leave_one_begun() -> None:
    begin(PLOT, (strata("first"),))()
    begin(PLOT, (strata("second"),))


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_a_process_that_drew_ends_though_nobody_looks_at_a_figure(method, monkeypatch):
    """As a run of the page does, which is a process of multiprocessing."""
    monkeypatch.undo()
    process = multiprocessing.get_context(method).Process(target=draw_and_leave_one_begun)
    process.start()
    process.join(120)
    assert process.exitcode == 0


def draw_and_wait(drawn: Event) -> None:
    begin(PLOT, (strata("first"),))()
    drawn.set()
    time.sleep(300)


def test_where_the_process_that_asked_is_killed_those_that_draw_end(monkeypatch):
    monkeypatch.undo()
    context = multiprocessing.get_context("spawn")
    drawn = context.Event()
    process = context.Process(target=draw_and_wait, args=[drawn])
    process.start()
    assert drawn.wait(120)
    drawing = psutil.Process(process.pid).children(recursive=True)
    assert drawing
    process.kill()
    process.join()
    assert psutil.wait_procs(drawing, timeout=60)[1] == []


def test_ctrl_c_is_left_to_the_process_that_asked():
    begin(PLOT, (strata("first"),))()
    (process, *_) = processes()
    os.kill(process.pid, signal.SIGINT)
    begin(PLOT, (strata("second"),))()
    assert process.is_running()


def test_what_cannot_be_drawn_is_an_error_where_it_is_looked_at():
    begun = begin(PLOT, ({"model": [None]},))
    with pytest.raises(AttributeError):
        begun()
