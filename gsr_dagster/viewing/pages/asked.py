"""What a browser asked for, of one experiment."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import quote

from assets.evaluation.evaluation_run import EvaluationRun
from gsr_dagster.experiment.errors import UserError
from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.experiment.keys import LANES, EvaluationKey
from gsr_dagster.operations.home import artifact_store
from gsr_dagster.viewing.reading.group_filter import GroupFilter
from gsr_dagster.viewing.reading.group_index import GroupIndex, GroupIndexes
from resources.store.artifacts import ArtifactStore


class UnknownPlaceError(UserError, LookupError):
    """An address that leads nowhere."""


@dataclass(frozen=True)
class Asked:
    """The parts of a request: what stands in its path, behind its question mark, and in its form."""

    experiment: Experiment
    indexes: GroupIndexes
    path: Mapping[str, str]
    query: Mapping[str, str]
    form: Mapping[str, str]

    @cached_property
    def store(self) -> ArtifactStore:
        return artifact_store(self.experiment)

    @property
    def filter(self) -> GroupFilter:
        """The groups that are asked for. Raises pydantic's ValidationError for what no filter can be."""
        return GroupFilter.model_validate(dict(self.query))

    @property
    def evaluation(self) -> EvaluationKey:
        """The evaluation that the path names. Raises UnknownPlaceError where the experiment has no such one."""
        return self.evaluation_of(self.path["benchmark"], self.path["subject"])

    def evaluation_of(self, benchmark: str, subject: str) -> EvaluationKey:
        """Return an evaluation of the experiment. Raises UnknownPlaceError where it has no such one."""
        if benchmark not in self.experiment.benchmarks:
            raise UnknownPlaceError(f"no benchmark {benchmark!r}; there are: {', '.join(self.experiment.benchmarks)}")
        if subject not in self.subjects:
            raise UnknownPlaceError(f"no model or student {subject!r}; there are: {', '.join(self.subjects)}")
        return self.experiment.evaluation_of(benchmark, subject)

    @property
    def subjects(self) -> list[str]:
        return [name for lane in LANES for name in self.experiment.subjects(lane)]

    def index(self, key: EvaluationKey) -> GroupIndex:
        """Return the groups of an evaluation. Raises ArtifactError where they are not there yet."""
        return self.indexes.of(EvaluationRun(self.experiment, self.store, key))


def evaluation_path(key: EvaluationKey) -> str:
    """Return an evaluation as it stands in an address: BENCHMARK/SUBJECT."""
    return f"{quote(key.benchmark, safe='')}/{quote(key.subject, safe='')}"
