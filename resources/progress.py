"""How long work shows itself: a bar in the terminal of `gsr`; a line now and then in its output or a run's log."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from multiprocessing.connection import Connection
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

SECONDS_BETWEEN_LINES = 30

log = logging.getLogger(__name__)
_bars: list["Progress | SentBars"] = []


@dataclass
class Tracker:
    """One piece of work: how much of it is done, and the tokens it has generated."""

    label: str
    total: int
    unit: str
    bar: "Progress | SentBars | None"
    task: TaskID | None
    done: int = 0
    tokens: int = 0

    def __post_init__(self) -> None:
        self.started = self.last_line = time.monotonic()

    def total_is(self, total: int) -> None:
        """Say how much there is, where that was not known at the start."""
        self.total = total
        if self.bar is not None and self.task is not None:
            self.bar.update(self.task, total=total)

    def advance(self, amount: int, tokens: int = 0, note: str = "") -> None:
        """Count ``amount`` more units done, and say so where somebody looks."""
        self.done += amount
        self.tokens += tokens
        now = time.monotonic()
        rate = f"{self.tokens / max(now - self.started, 1e-9):.0f} tokens/s" if self.tokens else ""
        note = " ".join(filter(None, [rate, note]))
        due = now - self.last_line > SECONDS_BETWEEN_LINES
        if due:
            self.last_line = now
        if self.bar is not None and self.task is not None:
            self.bar.update(self.task, completed=self.done, note=note)
            if due and not self.bar.console.is_terminal:
                self.bar.console.print(self._line(note), markup=False, highlight=False, soft_wrap=True)
        elif due or self.done >= self.total:
            log.info("%s", self._line(note))

    def _line(self, note: str) -> str:
        return f"{self.label}: {self.done} of {self.total} {self.unit} {note}".rstrip()


@contextmanager
def track(label: str, total: int, unit: str) -> Iterator[Tracker]:
    """Show a piece of work of ``total`` units until the block ends."""
    bar = _bars[-1] if _bars else None
    task = bar.add_task(label, total=total or None, unit=unit, note="") if bar else None
    try:
        yield Tracker(label, total, unit, bar, task)
    finally:
        if bar is not None and task is not None:
            bar.remove_task(task)


@contextmanager
def terminal_bars() -> Iterator[Progress]:
    """Send every tracker inside the block to bars in this terminal."""
    columns = [
        TextColumn("{task.description}", style="bold", markup=False),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TextColumn("{task.fields[unit]} {task.fields[note]}"),
        TimeRemainingColumn(),
    ]
    with Progress(*columns, transient=True) as bar, bars_through(bar):
        yield bar


@contextmanager
def bars_through(bars: "Progress | SentBars") -> Iterator[None]:
    """Send every tracker inside the block to bars."""
    _bars.append(bars)
    try:
        yield
    finally:
        _bars.remove(bars)


class SentBars:
    """Bars and lines of a process that has no terminal: they are sent through a pipe, and another one shows them."""

    def __init__(self, pipe: Connection, is_terminal: bool):
        self._pipe = pipe
        self._numbers = count()
        self.is_terminal = is_terminal

    @property
    def console(self) -> "SentBars":
        return self

    def add_task(self, label: str, **fields: Any) -> TaskID:
        task = TaskID(next(self._numbers))
        self._send("add_task", task, label, fields)
        return task

    def update(self, task: TaskID, **fields: Any) -> None:
        self._send("update", task, "", fields)

    def remove_task(self, task: TaskID) -> None:
        self._send("remove_task", task, "", {})

    def print(self, line: str, /, **options: Any) -> None:
        self._send("print", None, line, options)

    def _send(self, *message: Any) -> None:
        with suppress(BrokenPipeError):  # nobody looks any more
            self._pipe.send(message)


class ShownBars:
    """The bars of another process among those of this one."""

    def __init__(self, bars: Progress):
        self._bars = bars
        self._tasks: dict[TaskID, TaskID] = {}

    def show(self, message: tuple[str, TaskID, str, dict[str, Any]]) -> None:
        """Do what SentBars were told."""
        what, task, text, fields = message
        if what == "print":
            self._bars.console.print(text, **fields)
        elif what == "add_task":
            self._tasks[task] = self._bars.add_task(text, **fields)
        elif what == "update":
            self._bars.update(self._tasks[task], **fields)
        else:
            self._bars.remove_task(self._tasks.pop(task))

    def close(self) -> None:
        """Remove what the other process left, as one that was killed does."""
        for task in self._tasks.values():
            self._bars.remove_task(task)
