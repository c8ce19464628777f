"""What can be wrong with an artifact."""

from gsr_dagster.experiment.errors import UserError


class ArtifactError(UserError, RuntimeError):
    """An artifact that is missing or damaged; the message names it and what to do."""


class DamageError(ArtifactError):
    """A stored file that is not what its hash says: ``fault`` names it, with what is wrong."""

    def __init__(self, fault: str):
        super().__init__(f"{fault}; materialize the asset again (gsr verify --drop, then gsr run)")
        self.fault = fault
