"""The teaching of one student, while its artifacts are made."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from assets.evaluation.subjects import loader_of
from assets.materializing import ArtifactContents
from assets.problems.fingerprints import TrainingProblems
from assets.sampling import draw_samples
from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.experiment.keys import TRAINING_PROBLEMS, ArtifactKey
from gsr_dagster.experiment.problems.problem_sets import ProblemSet
from gsr_dagster.experiment.settings import Rollouts
from gsr_dagster.experiment.students import Student
from gsr_dagster.method.rows import Row
from resources.engines.base import Engine
from resources.engines.loading import Engines
from resources.engines.sample_log import Prompt, adopt_shards
from resources.store.artifacts import ArtifactStore
from resources.store.manifests import Recipe
from resources.store.ordering import rows_by_problem


@dataclass(frozen=True)
class TeachingRun:
    """A student in the making: what the experiment says of it, and what the store holds of it."""

    experiment: Experiment
    store: ArtifactStore
    name: str

    @property
    def student(self) -> Student:
        return self.experiment.students[self.name]

    @property
    def problem_set(self) -> ProblemSet:
        return TrainingProblems(self.experiment).problem_set

    @property
    def problem_set_summary(self) -> dict[str, Any]:
        """What was counted while the training problems were read."""
        return self.store.existing(TRAINING_PROBLEMS).summary

    def key(self, asset: str) -> ArtifactKey:
        return ArtifactKey(asset, self.name)

    def loader(self, engines: Engines, name: str) -> Callable[[], Engine]:
        """Return what loads the engine of a model, or of a student that was trained before."""
        return loader_of(self.experiment, self.store, engines, name)

    def problems(self) -> list[Row]:
        """Return the training problems."""
        return self.store.read(TRAINING_PROBLEMS)

    def by_problem(self, asset: str, *columns: str) -> Iterator[tuple[str, list[Row]]]:
        """Yield the samples of each problem that the student asks for: it may share more with another."""
        wanted = self.student.samples(asset)
        for problem_id, rows in rows_by_problem(self.store.local_shards(self.key(asset)), *columns):
            yield problem_id, [row for row in rows if row["sample_index"] < wanted]

    def read_wanted(self, asset: str) -> list[Row]:
        """Return the samples that the student asks for: it may share more with another."""
        wanted = self.student.samples(asset)
        return [row for row in self.store.rows(self.key(asset)) if row["sample_index"] < wanted]

    def draw(
        self,
        recipe: Recipe,
        prompts: Sequence[Prompt],
        id_column: str,
        rollouts: Rollouts,
        load: Callable[[], Engine],
        **counted: int,
    ) -> ArtifactContents:
        """Draw a recipe's samples. Students with one teacher's settings share what was drawn.

        Without prompts nothing is drawn or shared.
        """
        if prompts:
            adopt_shards(self.store, recipe, self.experiment.students)
        return draw_samples(self.store, recipe, prompts, id_column, rollouts, load, **counted)
