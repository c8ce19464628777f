"""A real small model that answers over loopback, asked by the official client."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import pytest

from gsr_dagster.answering.engine_queue import EngineQueue
from gsr_dagster.answering.server import Server, ready_solver
from gsr_dagster.answering.solving import Solver
from gsr_dagster.answering.subject import Subject
from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.operations.serving import HOST, listening_on
from resources.engines.base import Engine
from resources.engines.transformers import TransformersEngine
from resources.grading.grader import Grader

if TYPE_CHECKING:
    from openai import OpenAI

MODEL = "llama-tiny"
ROLLOUT = {"temperature": 1.0, "max_new_tokens": 24}


def experiment(**model) -> Experiment:
    return Experiment.model_validate(
        {
            "name": "small",
            "k": 3,
            "families": {"llama": {"tiny": {"source": "path:nowhere", **model}}},
            "benchmarks": {"sums": {"source": "reasoning-gym:chain_sum", "problems": 1, "samples": 1}},
            "evaluation": {"direct": ROLLOUT, "refinement": ROLLOUT, "candidate_tokens": 200},
        }
    )


@contextmanager
def serving(solver: Solver) -> Iterator["OpenAI"]:
    """Serve a solver for the length of the block, and yield a client of it."""
    from openai import OpenAI

    listening = listening_on(0)
    server = Server(solver, HOST)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    address = f"http://{HOST}:{listening.getsockname()[1]}/v1"
    try:
        with OpenAI(base_url=address, api_key="none", timeout=120) as client:
            yield client
    finally:
        solver.queue.close()
        server.end()
        thread.join()
        listening.close()


@pytest.fixture(scope="package")
def solver(small_model) -> Solver:
    return ready_solver(experiment(), MODEL, lambda: TransformersEngine(small_model, None, batch_size=32))


@pytest.fixture(scope="package")
def client(solver) -> Iterator["OpenAI"]:
    with serving(solver) as client:
        yield client


@pytest.fixture
def client_of() -> Iterator[Callable[..., "OpenAI"]]:
    """Return what serves an engine, of a model that the experiment file describes, and returns a client."""
    with ExitStack() as opened:

        def served(engine: Engine, **model) -> "OpenAI":
            queue = EngineQueue(engine, threads=1)
            return opened.enter_context(serving(Solver(Subject(experiment(**model), MODEL, engine), queue, Grader())))

        yield served
