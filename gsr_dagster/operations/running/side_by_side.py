"""`gsr run --jobs N`: partitions of a lane side by side, in processes of their own.

What shares something goes to one process: a subject's benchmarks, so that its model is loaded
once, and students that learn from the same samples, so that these are drawn once. Each process
holds GPUs of its own (resources/gpus.py), and has its share of the cores. Its bars and lines are
shown by the process that started it.
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
                    pipe, worker = self._start(lane, shares.popleft(), (places.pop(0), count))
                    workers[pipe] = worker
                for pipe in cast(list[Connection], wait(list(workers))):
                    if ended := _received(pipe, workers[pipe]):
                        places.append(workers.pop(pipe).place)
                        if ended.how == "done":
                            yield ended.assets
                        else:
                            failed.append(ended)
        finally:
            _stop(workers)
        _raise(failed)

    def _start(self, lane: Lane, partitions: Sequence[str], place: tuple[int, int]) -> tuple[Connection, Worker]:
        here, there = SPAWN.Pipe()
        work = Work(self.experiment, replace(lane, partitions=tuple(partitions)), self.build, *place)
        process = SPAWN.Process(target=work_on, args=(work, there, self.console.is_terminal), name=lane.name)
        process.start()
        there.close()  # the process alone has it: where it dies, this end says so
        return here, Worker(process, partitions, ShownBars(self.bars), place[0])


class Work(NamedTuple):
    """What one of the processes is told: the lane with the partitions that are its own, and its place among the cores."""

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
    """Materialize the partitions of a share, and send its bars, its lines and how it ended."""
    os.setsid()  # Ctrl-C in the terminal reaches the first process alone, which hands it on
    signal.signal(signal.SIGINT, signal.default_int_handler)
    _end_with_parent()
    keep_to_share(work.place, work.places)
    gpus.want(max(map(work.lane.gpus, work.lane.partitions)))
    bars = SentBars(pipe, is_terminal)
    definitions, store = work.build(work.experiment), artifact_store(work.experiment)
    try:
        with dg.DagsterInstance.get() as instance, bars_through(bars):
            run = Run(work.experiment, definitions, instance, [work.lane], store, bars)
            ended = Ended("done", sum(run.materialize_lane(work.lane)))
    except KeyboardInterrupt:
        ended = Ended("stopped")
    except DamageError as error:
        ended = Ended("damaged", said=str(error))
    except (UserError, OSError) as error:
        ended = Ended("failed", said=str(error))
    with suppress(OSError):  # nobody is there any more
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
    except EOFError:
        worker.process.join()
        message = Ended("failed", said=f"{', '.join(worker.partitions)}: {_death(worker.process.exitcode)}")
    if not isinstance(message, Ended):
        worker.bars.show(message)
        return None
    worker.bars.close()
    worker.process.join()
    pipe.close()
    return message


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
                del workers[pipe]


def _raise(failed: Sequence[Ended]) -> None:
    """Raise what the processes that failed said; a signal to one of them is Ctrl-C."""
    if any(ended.how == "stopped" for ended in failed):
        raise KeyboardInterrupt
    if failed:
        error = DamageError if all(ended.how == "damaged" for ended in failed) else ArtifactError
        raise error("\n".join(ended.said for ended in failed))
