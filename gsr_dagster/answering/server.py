"""Serving the answers of a model or a student, until KeyboardInterrupt."""

import socket
from collections.abc import Callable
from contextlib import closing, suppress
from types import FrameType

import uvicorn

from gsr_dagster.answering.app import application
from gsr_dagster.answering.engine_queue import EngineQueue
from gsr_dagster.answering.solving import Solver
from gsr_dagster.answering.subject import Subject
from gsr_dagster.experiment.engines import OpenAI
from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.experiment.settings import RolloutSettings
from gsr_dagster.method.prompting.prompts import direct_messages
from gsr_dagster.operations.serving import OWN_NAMES
from resources import gpus
from resources.engines.base import Engine, Request
from resources.grading.grader import Grader

MOST_THREADS = 32
SECONDS_TO_END_IN = 5
ONE_PROBLEM = direct_messages("1 + 1")
SHORT = RolloutSettings(max_new_tokens=16)
# An address for all names has any.
EVERYWHERE = "0.0.0.0"


class Server(uvicorn.Server):
    """A server that gives up what its engine draws once a signal ends it."""

    def __init__(self, solver: Solver, host: str):
        hosts = ["*"] if host == EVERYWHERE else [*OWN_NAMES, host]
        super().__init__(uvicorn.Config(application(solver, hosts), log_level="warning", lifespan="off"))
        self.queue = solver.queue
        self.queue.died = self.end

    def end(self) -> None:
        self.should_exit = True

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self.queue.close()
        super().handle_exit(sig, frame)


def ready_solver(experiment: Experiment, name: str, load: Callable[[], Engine]) -> Solver:
    """Return what answers as a model or student: its weights are loaded, and one short answer has been drawn."""
    settings = experiment.subject_model(name).engine
    gpus.want(settings.gpus)
    engine = load()
    list(engine.sample([Request("first", ONE_PROBLEM, (0,), (0,))], SHORT))
    engine.prompt_tokens(ONE_PROBLEM)
    grader = Grader(name=experiment.evaluation.grader)
    grader.classes("math", ["1"])  # starts its processes
    threads = min(settings.concurrency, MOST_THREADS) if isinstance(settings, OpenAI) else 1
    return Solver(Subject(experiment, name, engine), EngineQueue(engine, threads), grader)


def serve_answers(solver: Solver, listening: socket.socket, host: str) -> bool:
    """Serve answers on a socket that listens at a host, until KeyboardInterrupt.

    Returns whether the engine has ended what it drew. Raises EngineDiedError where its process ended.
    """
    with closing(listening), suppress(KeyboardInterrupt):
        Server(solver, host).run(sockets=[listening])
    solver.queue.close()
    if solver.queue.fault:
        raise solver.queue.fault
    return solver.queue.ended(SECONDS_TO_END_IN)
