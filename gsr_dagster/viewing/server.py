"""Serving the viewer on loopback, alone or beside the Dagster page."""

import os
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress

import uvicorn

from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.operations.locations.viewer_links import VIEW_URL
from gsr_dagster.operations.serving import PageError, listening_on
from gsr_dagster.viewing.app import viewer


def serve_viewer(experiments: Sequence[Experiment], listening: socket.socket) -> None:
    """Serve the viewer on a socket that listens, until KeyboardInterrupt."""
    with closing(listening), suppress(KeyboardInterrupt):
        _server(experiments).run(sockets=[listening])


@contextmanager
def viewer_beside(experiments: Sequence[Experiment], port: int) -> Iterator[str]:
    """Serve the viewer for the length of the block, on a port or else on any free one; yield its address.

    The code locations that are started within the block link to it.
    """
    try:
        listening = listening_on(port)
    except PageError:
        listening = listening_on(0)
    with closing(listening):
        address = f"http://localhost:{listening.getsockname()[1]}"
        os.environ.setdefault(VIEW_URL, address)
        server = _server(experiments)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        try:
            yield address
        finally:
            server.should_exit = True
            thread.join()


def _server(experiments: Sequence[Experiment]) -> uvicorn.Server:
    return uvicorn.Server(uvicorn.Config(viewer(experiments), log_level="warning", lifespan="off"))
