import io
import logging
import multiprocessing

import pytest
from rich.console import Console

from resources import progress
from resources.progress import SentBars, ShownBars, bars_through, terminal_bars, track


@pytest.fixture(autouse=True)
def impatient(monkeypatch) -> None:
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", -1)


def work() -> None:
    with track("candidate_pools[sums]", 8, "samples") as tracker:
        tracker.advance(4, tokens=400)


def test_output_that_is_no_terminal_gets_a_line_now_and_then(capsys):
    with terminal_bars():
        work()
    assert "candidate_pools[sums]: 4 of 8 samples" in capsys.readouterr().out


def test_a_terminal_gets_a_bar_and_no_lines(monkeypatch):
    terminal = Console(file=io.StringIO(), force_terminal=True, width=120)
    monkeypatch.setattr("rich.progress.get_console", lambda: terminal)
    with terminal_bars() as bars, track("candidate_pools[sums]", 8, "samples") as tracker:
        tracker.advance(4, tokens=400)
        bars.refresh()
    assert isinstance(terminal.file, io.StringIO)
    shown = terminal.file.getvalue()
    assert "4/8" in shown
    assert "4 of 8" not in shown


def test_a_run_of_the_page_gets_its_lines_in_the_log(caplog):
    caplog.set_level(logging.INFO)
    work()
    assert "candidate_pools[sums]: 4 of 8 samples" in caplog.text


def test_the_bars_of_another_process_stand_among_those_of_this_one(monkeypatch):
    terminal = Console(file=io.StringIO(), force_terminal=True, width=120)
    monkeypatch.setattr("rich.progress.get_console", lambda: terminal)
    here, there = multiprocessing.Pipe()
    with terminal_bars() as bars:
        shown, sent = ShownBars(bars), SentBars(there, is_terminal=True)
        with bars_through(sent):
            with track("candidate_pools[sums]", 8, "samples") as tracker:
                tracker.advance(4, tokens=400)
                for _ in range(2):
                    shown.show(here.recv())
                assert [(task.description, task.completed, task.total) for task in bars.tasks] == [
                    ("candidate_pools[sums]", 4, 8)
                ]
            shown.show(here.recv())
            assert bars.tasks == []
            with track("it is killed", 1, "samples"):
                shown.show(here.recv())
                shown.close()
                assert bars.tasks == []
        sent.print("base_evaluation sums", markup=False)
        while here.poll():
            message = here.recv()
            if message[0] == "print":
                shown.show(message)
    assert isinstance(terminal.file, io.StringIO)
    assert "base_evaluation sums" in terminal.file.getvalue()
