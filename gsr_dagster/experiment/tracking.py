"""Where a training and a gap report are shown beside a team's other runs. It shapes no row of any artifact."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from gsr_dagster.experiment.addresses import server_address
from gsr_dagster.experiment.settings import Section

# What W&B takes in no project's name.
NOT_IN_A_PROJECT = "/\\#?%:"
LONGEST_PROJECT = 128


def _tracking_uri(uri: str) -> str:
    return server_address(uri, "http://localhost:5000")


def _project(name: str) -> str:
    if len(name) > LONGEST_PROJECT or any(character in NOT_IN_A_PROJECT for character in name):
        raise ValueError(
            f"{name[:50]!r} cannot be a project of W&B: write up to {LONGEST_PROJECT} letters without any of "
            f"{' '.join(NOT_IN_A_PROJECT)}"
        )
    return name


NotEmpty = Annotated[str, Field(min_length=1)]


class MLflow(Section):
    """An MLflow server, by the extra ``mlflow``. Passwords and tokens are read from the environment, as MLflow does.

    ``uri`` is its address; where it is left out, $MLFLOW_TRACKING_URI.
    ``experiment`` is the name of an experiment there; where it is left out, the file's.
    """

    kind: Literal["mlflow"]
    uri: Annotated[str, AfterValidator(_tracking_uri)] | None = None
    experiment: NotEmpty | None = None


class WandB(Section):
    """Weights & Biases, by the extra ``wandb``. Its key is read from the environment, as W&B does.

    ``project`` is the file's name where it is left out, and ``entity`` the account's own.
    ``mode: offline`` writes into the folder ``wandb`` of the home, for ``wandb sync``.
    """

    kind: Literal["wandb"]
    project: Annotated[NotEmpty, AfterValidator(_project)] | None = None
    entity: NotEmpty | None = None
    mode: Literal["online", "offline"] = "online"


Tracking = Annotated[MLflow | WandB, Field(discriminator="kind")]
