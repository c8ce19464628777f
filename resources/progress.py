"""How long work shows itself: a bar in the terminal of `gsr`; a line now and then in its output or a run's log."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

SECONDS_BETWEEN_LINES = 30

log = logging.getLogger(__name__)
_bars: list[Progress] = []


@dataclass
class Tracker:
    """One piece of work: how much of it is done, and the tokens it has generated."""

    label: str
    total: int
    unit: str
    bar: Progress | None
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
    with Progress(*columns, transient=True) as bar:
        _bars.append(bar)
        try:
            yield bar
        finally:
            _bars.remove(bar)
