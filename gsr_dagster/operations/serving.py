"""Serving the Dagster page: one page a home, on a free port, which ends as a whole however it ends.

`gsr page` stays beside `dagster dev` and holds one end of a pipe. Where it ends, by a
signal or by `kill -9`, the pipe closes and `dagster dev` ends what it started.
"""

import fcntl
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from gsr_dagster.experiment.errors import UserError

HOST = "127.0.0.1"
# The names of this machine on itself. Under another name it would be another site's page that asks.
OWN_NAMES = ("localhost", HOST)
SERVICES = ("dagster_webserver", "dagster._daemon")
SECONDS_BETWEEN_LOOKS = 1
SECONDS_TO_END_IN = 15


class PageError(UserError, RuntimeError):
    """A page that cannot be served; the message says why, and what to do."""


def of_this_site(origin: str, host: str | None) -> bool:
    """Return whether a page of the very server asks, by the headers Origin and Host: browsers name the site.

    >>> of_this_site("http://localhost:3001", "localhost:3001"), of_this_site("null", "localhost:3001")
    (True, False)
    """
    return urlsplit(origin).netloc == host


@contextmanager
def only_page(folder: Path, address: str) -> Iterator[None]:
    """Be the only page of a Dagster instance for the length of the block. Raises PageError where there is one.

    The system gives the lock back when its process ends: what a killed page wrote holds nothing up.
    """
    with (folder / ".page.lock").open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise PageError(
                f"a page of {folder} is running: {file.read().strip() or 'it is just starting'}. Open that one, "
                "or end it first; another GSR_HOME has a page of its own"
            ) from None
        file.truncate(0)
        file.write(f"{address} (process {os.getpid()})\n")
        file.flush()
        yield


def refuse_used_port(port: int) -> None:
    """Raise PageError where something listens on a port, or it may not be used."""
    listening_on(port).close()


def listening_on(port: int, host: str = HOST) -> socket.socket:
    """Return a socket that listens on a port, 0 for any free one: of loopback, or of another address of this machine.

    Raises PageError where something listens there already, or it may not be used.
    """
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen()
    except OSError as error:
        listening.close()
        place, other = (f"port {port}", "--port") if host == HOST else (f"{host}, port {port}", "--host or --port")
        raise PageError(f"{place}: {error.strerror}; name another one with {other}") from None
    return listening


def heed_signals() -> None:
    """Let SIGINT, SIGTERM and SIGHUP raise KeyboardInterrupt.

    What a script starts in the background ignores SIGINT, and so would all that it starts: not so with a handler.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # nohup is meant
            signal.signal(number, signal.default_int_handler)


def serve(arguments: Sequence[str]) -> None:
    """Run `dagster dev` until KeyboardInterrupt. Raises PageError where it ends by itself."""
    services: dict[int, psutil.Process] = {}
    stopped = False
    with subprocess.Popen([sys.executable, "-m", __name__, *arguments], stdin=subprocess.PIPE) as dagster:
        try:
            while dagster.poll() is None:
                services |= {process.pid: process for process in _services(dagster.pid)}
                with suppress(subprocess.TimeoutExpired):
                    dagster.wait(SECONDS_BETWEEN_LOOKS)
        except KeyboardInterrupt:
            stopped = True
        for number in (signal.SIGINT, signal.SIGTERM):  # it is ending
            signal.signal(number, signal.SIG_IGN)
        assert dagster.stdin is not None
        dagster.stdin.close()
        dagster.wait()
    _end(list(services.values()))
    if not stopped:
        raise PageError("the page ended by itself; the lines above say why")


def _services(pid: int) -> list[psutil.Process]:
    """Return the webserver and the daemon that `dagster dev` started."""
    found = []
    with suppress(psutil.Error):
        for process in psutil.Process(pid).children():
            with suppress(psutil.Error):
                if any(name in process.cmdline() for name in SERVICES):
                    found.append(process)
    return found


def _end(processes: Sequence[psutil.Process]) -> None:
    """End what a killed `dagster dev` left."""
    for process in processes:
        with suppress(psutil.Error):
            process.terminate()
    for process in psutil.wait_procs(processes, timeout=SECONDS_TO_END_IN)[1]:
        with suppress(psutil.Error):
            process.kill()


def _end_with_stdin() -> None:
    """Interrupt this process once its standard input ends: `gsr page` is gone, or was told to go."""

    def follow() -> None:
        while os.read(sys.stdin.fileno(), 1):
            pass
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=follow, daemon=True).start()


if __name__ == "__main__":
    from dagster._cli import main

    _end_with_stdin()
    sys.argv = ["dagster", "dev", *sys.argv[1:]]
    main()
