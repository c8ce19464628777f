"""`gsr run --jobs N`: partitions of a lane side by side, in processes of their own.

What shares something goes to one process: a subject's benchmarks, so that its model is loaded
once, and students that learn from the same samples, so that these are drawn once. Each process
holds GPUs of its own (resources/gpus.py), which it gives back by its end; one that holds none takes
one share after another. Each has its part of the cores. Its bars and lines are shown by the process
that started it.
"""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any, Literal, NamedTuple, cast

import dagster as dg
from rich.progress import Progress

from gsr_dagster.experiment.errors import UserError
from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.experiment.keys import subject_of
from gsr_dagster.operations.home import artifact_store
from gsr_dagster.operations.lanes import Lane
from gsr_dagster.operations.running.one_by_one import Run
from resources import gpus
from resources.cores import keep_to_share
from resources.progress import SentBars, ShownBars, bars_through
from resources.store.errors import ArtifactError, DamageError

SPAWN = multiprocessing.get_context("spawn")


class Ended(NamedTuple):
    """How the work of a process ended: with the number of assets that it made, or with its error message."""

    how: Literal["done", "failed", "damaged", "stopped"]
    assets: int = 0
    said: str = ""


class Worker(NamedTuple):
    """A process at work on a lane's partitions, the bars that it has here, and its place among the cores."""

    process: SpawnProcess
    partitions: Sequence[str]
    bars: ShownBars
    place: int


@dataclass(frozen=True)
class RunSideBySide(Run):
    """A run with up to ``jobs`` processes at once. ``build`` makes the definitions in each of them."""

    jobs: int
    bars: Progress
    build: Callable[[Experiment], dg.Definitions]

    def materialize_lane(self, lane: Lane) -> Iterator[int]:
        """Materialize what is not current of a lane, and yield the number of assets of each process's partitions.

        Where one fails no further one begins, and those at work end first. Raises as ``materialize_all`` does,
        with all that failed.
        """
        stale = [partition for partition in lane.partitions if lane.stale(self.store, partition)]
        shares = deque(together(self.experiment, lane, stale))
        # What loads a model never does so here: this process would keep its GPUs.
        if len(shares) < 2 and not any(map(lane.gpus, stale)):
            yield from super().materialize_lane(lane)
            return
        count = min(self.jobs, len(shares))
        places = list(range(count))
        workers: dict[Connection, Worker] = {}
        failed: list[Ended] = []
        try:
            while workers or (shares and not failed):
                while shares and places and not failed:
                    pipe, worker = self._start(lane, (places.pop(0), count))
                    workers[pipe] = self._given(pipe, worker, shares.popleft())
                for pipe in cast(list[Connection], wait(list(workers))):
                    if not (ended := _received(pipe, workers[pipe])):
                        continue
                    if ended.how == "done":
                        yield ended.assets
                    else:
                        failed.append(ended)
                    if shares and not failed and not any(map(lane.gpus, workers[pipe].partitions)):
                        workers[pipe] = self._given(pipe, workers[pipe], shares.popleft())
                    else:
                        places.append(_let_go(pipe, workers.pop(pipe)))
        finally:
            _stop(workers)
        _raise(failed)

    def _start(self, lane: Lane, place: tuple[int, int]) -> tuple[Connection, Worker]:
        here, there = SPAWN.Pipe()
        work = Work(self.experiment, lane, self.build, *place)
        process = SPAWN.Process(target=work_on, args=(work, there, self.console.is_terminal), name=lane.name)
        process.start()
        there.close()  # the process alone has it: where it dies, this end says so
        return here, Worker(process, (), ShownBars(self.bars), place[0])

    def _given(self, pipe: Connection, worker: Worker, partitions: Sequence[str]) -> Worker:
        """Give a process a share, and return it at work on that."""
        with suppress(OSError):  # it has died, which its end of the pipe says
            pipe.send(partitions)
        return worker._replace(partitions=partitions, bars=ShownBars(self.bars))


class Work(NamedTuple):
    """What one of the processes is told as it starts: the lane whose partitions it gets, and its place among the cores."""

    experiment: Experiment
    lane: Lane
    build: Callable[[Experiment], dg.Definitions]
    place: int
    places: int


def together(experiment: Experiment, lane: Lane, partitions: Sequence[str]) -> list[list[str]]:
    """Return the partitions in shares for one process each, in their order: what has something in common is together."""
    shares: list[tuple[set[Any], list[str]]] = []
    for partition in partitions:
        common = shared_by(experiment, lane, partition)
        with_it = [share for share in shares if share[0] & common]
        joined = (common.union(*(share[0] for share in with_it)), [p for share in with_it for p in share[1]])
        joined[1].append(partition)
        shares = [share for share in shares if share not in with_it] + [joined]
    return [share for _, share in shares]


def shared_by(experiment: Experiment, lane: Lane, partition: str) -> set[Any]:
    """Return what a partition can have in common with another of its lane: a model, or samples to learn from."""
    if not lane.name.startswith("teaching"):
        return {subject_of(partition)}
    student = experiment.students[partition]
    drawn = {
        "training_candidates": (student.sampler, student.candidates),
        "teacher_solutions": (student.solver, student.solutions),
    }
    return {(asset, *settings) for asset, settings in drawn.items() if student.samples(asset)} | {partition}


def work_on(work: Work, pipe: Connection, is_terminal: bool) -> None:
    """Materialize share after share, and send the bars and lines of each and how it ended, until None comes."""
    os.setsid()  # Ctrl-C in the terminal reaches the first process alone, which hands it on
    signal.signal(signal.SIGINT, signal.default_int_handler)
    _end_with_parent()
    keep_to_share(work.place, work.places)
    bars = SentBars(pipe, is_terminal)
    definitions, store = work.build(work.experiment), artifact_store(work.experiment)
    with suppress(EOFError, OSError, KeyboardInterrupt):  # nobody is there any more
        while partitions := pipe.recv():
            lane = replace(work.lane, partitions=tuple(partitions))
            gpus.want(max(map(lane.gpus, partitions)))
            try:
                with dg.DagsterInstance.get() as instance, bars_through(bars):
                    run = Run(work.experiment, definitions, instance, [lane], store, bars)
                    ended = Ended("done", sum(run.materialize_lane(lane)))
            except KeyboardInterrupt:
                ended = Ended("stopped")
            except DamageError as error:
                ended = Ended("damaged", said=str(error))
            except (UserError, OSError) as error:
                ended = Ended("failed", said=str(error))
            pipe.send(ended)


def _end_with_parent() -> None:
    """Interrupt this process once the one that started it is gone."""

    def follow() -> None:
        parent = multiprocessing.parent_process()
        assert parent is not None
        parent.join()
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=follow, daemon=True).start()


def _received(pipe: Connection, worker: Worker) -> Ended | None:
    """Show what a process sent, and return how it ended once it has."""
    try:
        message = pipe.recv()
    except (EOFError, ConnectionResetError):
        worker.process.join()
        message = Ended("failed", said=f"{', '.join(worker.partitions)}: {_death(worker.process.exitcode)}")
    if not isinstance(message, Ended):
        worker.bars.show(message)
        return None
    worker.bars.close()
    return message


def _let_go(pipe: Connection, worker: Worker) -> int:
    """Let a process end that has done its share, and return its place."""
    with suppress(OSError):  # it has ended already
        pipe.send(None)
    worker.process.join()
    pipe.close()
    return worker.place


def _death(status: int | None) -> str:
    """Return how a process ended that did not say so."""
    if status is not None and status < 0:
        return f"its process was ended by {signal.Signals(-status).name}; run again, what was drawn stays"
    return f"its process ended with status {status}; the lines above say why"


def _stop(workers: dict[Connection, Worker]) -> None:
    """Interrupt the processes that are at work, and wait until each has kept what it has."""
    for worker in workers.values():
        with suppress(ProcessLookupError):
            os.kill(worker.process.pid or 0, signal.SIGINT)
    while workers:
        for pipe in cast(list[Connection], wait(list(workers))):
            if _received(pipe, workers[pipe]):
                _let_go(pipe, workers.pop(pipe))


def _raise(failed: Sequence[Ended]) -> None:
    """Raise what the processes that failed said; a signal to one of them is Ctrl-C."""
    if any(ended.how == "stopped" for ended in failed):
        raise KeyboardInterrupt
    if failed:
        error = DamageError if all(ended.how == "damaged" for ended in failed) else ArtifactError
        raise error("\n".join(ended.said for ended in failed))
