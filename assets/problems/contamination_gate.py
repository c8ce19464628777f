"""The contamination gate: nothing learns from training problems that overlap with a benchmark's, unless it is allowed.

A blocking check stops its own run only, so what reads training problems asks here again.
"""

from dataclasses import dataclass

from assets.problems.fingerprints import Contamination
from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.experiment.keys import CONTAMINATION
from resources.store.artifacts import ArtifactStore
from resources.store.errors import ArtifactError

ADVICE = (
    "take other training problems, or write `contamination: report` into the experiment file: "
    "then students are trained, and their scores split into clean and overlapping problems"
)


@dataclass(frozen=True)
class Overlaps:
    """How many pairs of a training and a benchmark problem overlap, and how many problems of either side they touch."""

    near_duplicate_pairs: int
    shared_13_gram_pairs: int
    overlapping_training_problems: int
    overlapping_benchmark_problems: int
    by_benchmark: dict[str, int]

    def __str__(self) -> str:
        where = ", ".join(f"{count} of {benchmark}" for benchmark, count in self.by_benchmark.items())
        found = f" ({where})" if where else ""
        return (
            f"{self.overlapping_training_problems} training problems overlap with benchmark problems{found}, "
            f"{self.near_duplicate_pairs} near duplicates, "
            f"{self.shared_13_gram_pairs} pairs that share 13 words in a row"
        )


def refuse_contaminated(experiment: Experiment, store: ArtifactStore) -> None:
    """Raise ArtifactError where training problems overlap with a benchmark's and the experiment file does not allow it."""
    found = store.current(Contamination(experiment).recipe(store))
    if found is None:
        raise ArtifactError(f"{CONTAMINATION} is missing or older than the problems: materialize it first")
    if found.rows and experiment.contamination == "block":
        raise ArtifactError(f"{store.summary(CONTAMINATION, Overlaps)}; {ADVICE}")


def overlapping_problems(store: ArtifactStore, benchmark: str) -> set[str]:
    """Return the ids of a benchmark's problems that a training problem overlaps with."""
    return {row["problem_id"] for row in store.read(CONTAMINATION) if row["benchmark"] == benchmark}
