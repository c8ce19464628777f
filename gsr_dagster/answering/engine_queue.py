"""One engine for many requests: what waits is drawn together, and what nobody waits for any more is not drawn.

An engine in this process is asked by one thread. Requests that come while it draws wait until it is done,
and those with the same rollout settings are then drawn together. A server is asked by several threads.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field, replace

from gsr_dagster.answering.refusals import StoppingError
from gsr_dagster.experiment.settings import RolloutSettings
from resources.engines.base import Engine, EngineDiedError, EngineError, Request, Sample, Watch

log = logging.getLogger(__name__)


@dataclass(eq=False)
class Job:
    """A request that waits for its samples, or is drawn."""

    request: Request
    settings: RolloutSettings
    done: Future[list[Sample]]
    samples: dict[int, Sample] = field(default_factory=dict)

    def take(self, sample: Sample) -> None:
        """Keep a sample; with the last one the request is done."""
        self.samples[sample.index] = sample
        if len(self.samples) == len(self.request.indices):
            with suppress(InvalidStateError):  # nobody waits any more
                self.done.set_result([self.samples[index] for index in self.request.indices])

    def fail(self, error: Exception) -> None:
        """Say why there are no samples, where it is not done."""
        with suppress(InvalidStateError):
            self.done.set_exception(error)


class EngineQueue:
    """The requests of an engine. ``died`` is called where its process ended, and ``fault`` then says so."""

    def __init__(self, engine: Engine, threads: int):
        self.engine = engine
        self.fault: EngineDiedError | None = None
        self.died: Callable[[], None] = lambda: None
        self._waiting: list[Job] = []
        self._drawn: list[Job] = []
        self._changed = threading.Condition()
        self._closed = False
        # Daemons: a server's answer that is under way holds up no end.
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(threads)]
        for thread in self._threads:
            thread.start()

    async def draw(
        self, request: Request, settings: RolloutSettings, wrote: Callable[[str], None] | None = None
    ) -> list[Sample]:
        """Return the samples of a request, in their order; ``wrote`` gets the text of a single one while it is written.

        Whoever is cancelled while it waits here has its samples given up. Raises what the engine raises,
        EngineError where it lost some, StoppingError where the queue is closed.
        """
        done: Future[list[Sample]] = Future()
        job = Job(replace(request, watch=Watch(done.done, wrote)), settings, done)
        with self._changed:
            if self._closed:
                raise self.fault or StoppingError()
            self._waiting.append(job)
            self._changed.notify()
        return await asyncio.wrap_future(done)

    def close(self) -> None:
        """Give up all requests, and take no more."""
        with self._changed:
            self._closed = True
            for job in (*self._waiting, *self._drawn):
                job.fail(self.fault or StoppingError())
            self._changed.notify_all()

    def ended(self, seconds: float) -> bool:
        """Wait until the engine has ended what it drew, for so long at most, and return whether it has."""
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _work(self) -> None:
        while jobs := self._next():
            try:
                self._draw(jobs)
            finally:
                with self._changed:
                    self._drawn = [job for job in self._drawn if job not in jobs]

    def _next(self) -> list[Job]:
        """Return the job that has waited for longest and those that are drawn alike; none once the queue is closed."""
        with self._changed:
            while not self._closed:
                self._waiting = [job for job in self._waiting if not job.done.done()]
                if self._waiting:
                    settings = self._waiting[0].settings
                    jobs = [job for job in self._waiting if job.settings == settings]
                    self._waiting = [job for job in self._waiting if job.settings != settings]
                    self._drawn += jobs
                    return jobs
                self._changed.wait()
            return []

    def _draw(self, jobs: Sequence[Job]) -> None:
        by_name = {job.request.id: job for job in jobs}
        fault: Exception = EngineError("the engine gave fewer samples than were asked for")
        try:
            for samples in self.engine.sample([job.request for job in jobs], jobs[0].settings):
                for sample in samples:
                    by_name[sample.request_id].take(sample)
        except EngineDiedError as error:
            log.error("%s", error)
            fault = self.fault = error
            self.close()
            self.died()
        except Exception as error:
            if not all(job.done.done() for job in jobs):
                log.exception("the engine failed")
            fault = error
        for job in jobs:
            job.fail(fault)
