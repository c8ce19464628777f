"""Which code location of the page a run belongs to: every experiment is one, by its name.

A run that was not launched by the page carries this as its origin. Without it the page
lists the run under no job, and cannot execute it again.

Schedules, sensors and runs are tied to a location's name. Every way to open an experiment
gives it the same one where Dagster lets us; a process that has another one says so.
"""

import logging
import multiprocessing
import sys
from collections.abc import Sequence
from itertools import pairwise

from dagster._core.definitions.repository_definition.valid_definitions import SINGLETON_REPOSITORY_NAME
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin

from gsr_dagster.experiment.experiment import Experiment

log = logging.getLogger(__name__)

FROM_TAG = "gsr/from"
# The page's run retries leave such a run to whoever sits at the terminal.
FROM_COMMAND_LINE = {FROM_TAG: "command line", "dagster/max_retries": "0"}


def location_name(experiment: Experiment) -> str:
    """Return what an experiment's code location is called on the page."""
    return experiment.name


def job_origin(experiment: Experiment, job: str) -> RemoteJobOrigin:
    """Return where the page finds a job of an experiment."""
    location = RegisteredCodeLocationOrigin(location_name(experiment))
    return RemoteRepositoryOrigin(location, SINGLETON_REPOSITORY_NAME).get_job_origin(job)


def warn_of_another_name(experiment: Experiment) -> None:
    """Warn where this process serves an experiment as a code location of another name than its own."""
    opened = name_opened_as(sys.argv)
    name = location_name(experiment)
    if opened in (None, name) or multiprocessing.parent_process():  # a run's process has its server's arguments
        return
    log.warning(
        "This code location is called %s, and `gsr page` calls that of its experiment %s. Schedules and sensors that "
        "were turned on there are off here, and runs of `gsr run` are listed under no job. Open it with `gsr page`, "
        "or with a workspace file that says location_name: %s",
        opened, name, name,
    )  # fmt: skip


def name_opened_as(arguments: Sequence[str]) -> str | None:
    """Return what a code server is told that its location is called, None for any other process.

    >>> name_opened_as(["dagster", "api", "grpc", "--location-name", "demo", "-m", "gsr_dagster.definitions"])
    'demo'
    """
    for option, value in pairwise(arguments):
        if option == "--location-name":
            return value
    return None
