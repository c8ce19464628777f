"""Which code location of the page a run belongs to: every experiment is one, by its name.

A run that was not launched by the page carries this as its origin. Without it the page
lists the run under no job, and cannot execute it again.
"""

from dagster._core.definitions.repository_definition.valid_definitions import SINGLETON_REPOSITORY_NAME
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin

from gsr_dagster.experiment.experiment import Experiment

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
