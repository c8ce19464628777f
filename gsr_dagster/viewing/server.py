"""Serving the viewer on loopback, alone or beside the Dagster page."""

import os
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress

import uvicorn

from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.operations.locations.viewer_links import VIEW_URL
from gsr_dagster.viewing.app import viewer

HOST = "127.0.0.1"


def serve_viewer(experiments: Sequence[Experiment], port: int) -> None:
    """Serve the viewer until KeyboardInterrupt."""
    with suppress(KeyboardInterrupt):
        _server(experiments).run(sockets=[bound(port)])


@contextmanager
def viewer_beside(experiments: Sequence[Experiment], port: int) -> Iterator[str]:
    """Serve the viewer for the length of the block, on a port or else on any free one; yield its address.

    The code locations that are started within the block link to it.
    """
    try:
        listening = bound(port)
    except OSError:
        listening = bound(0)
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


def bound(port: int) -> socket.socket:
    """Return a socket of loopback that listens on a port, 0 for any free one. Raises OSError where it is in use."""
    listening = socket.socket()
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((HOST, port))
        listening.listen()
    except OSError:
        listening.close()
        raise
    return listening


def _server(experiments: Sequence[Experiment]) -> uvicorn.Server:
    return uvicorn.Server(uvicorn.Config(viewer(experiments), log_level="warning", lifespan="off"))
