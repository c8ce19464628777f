"""The process that speaks to a tracking server: `python -m resources.tracking.sending ANSWER.json`, its job on stdin.

tracker.py starts it. The clock begins once the client is loaded, and SIGALRM ends the process.
"""

import json
import os
import re
import signal
import sys
from importlib import import_module
from pathlib import Path

import requests


def main(answer: Path) -> None:
    """Send the run of a job, and write where it is shown, or why it is not."""
    job = json.load(sys.stdin)
    kind = job["settings"]["kind"]
    told = {}
    try:
        import_module(kind)
        signal.alarm(job["limit"])
        told["shown"] = import_module(f"resources.tracking.{kind}").send(job)
    except Exception as error:  # whatever a client raises is told, and fails nothing
        told["error"] = words(error)
    answer.write_text(json.dumps(told))
    os._exit(0)  # the clients' own ends may wait for the server


def words(error: Exception) -> str:
    """Return what a server answered, or that it did not: a client's own words begin with the whole request."""
    asked = error.__cause__ or error.__context__
    if isinstance(asked, requests.exceptions.RetryError) and (status := re.search(r"too many (\d+) error", str(asked))):
        return f"the server answered {status[1]}"
    if isinstance(asked, requests.RequestException):
        return f"the server did not answer ({type(asked).__name__})"
    return f"{type(error).__name__}: {error}"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
