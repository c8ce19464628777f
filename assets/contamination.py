"""Contamination: which training problems overlap with benchmark problems, and what then stops."""

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from assets.materializing import Made, keep
from assets.recipes import Recipes
from gsr_dagster.experiment import Experiment
from gsr_dagster.method.contamination import BenchmarkIndex
from resources.artifacts import ArtifactError, ArtifactStore
from resources.manifests import ArtifactKey, Manifest
from resources.rows import Row

OVERLAPS = ArtifactKey("contamination")
EXAMPLES = 10
ADVICE = (
    "Take other training problems, or write `contamination: report` into the experiment file: "
    "then students are trained, and their scores split into clean and overlapping problems"
)


def contamination_assets(experiment: Experiment) -> list:
    """Return the asset that compares training problems with all benchmarks, and its check."""
    if experiment.training_problems is None:
        return []

    @dg.asset(deps=["benchmark_problems", "training_problems"], group_name="problems", kinds={"numpy"})
    def contamination(context: dg.AssetExecutionContext, store: ArtifactStore) -> dg.MaterializeResult:
        """Every pair of a training and a benchmark problem that overlap, the worst first. No row is best."""
        recipe = Recipes(experiment, store).contamination()

        def make() -> Made:
            rows = overlap_rows(experiment, store)
            return Made(rows, summary=overlap_summary(rows))

        return keep(context, store, recipe, make)

    @dg.asset_check(asset=contamination, blocking=True)
    def no_overlap_with_benchmarks(store: ArtifactStore) -> dg.AssetCheckResult:
        """No training problem overlaps with a benchmark's. Blocks, unless the experiment file says `contamination: report`."""
        found = store.existing(OVERLAPS)
        blocks = experiment.contamination == "block"
        metadata = {name: value for name, value in found.summary.items() if isinstance(value, int)}
        return dg.AssetCheckResult(
            passed=not found.rows,
            severity=dg.AssetCheckSeverity.ERROR if blocks else dg.AssetCheckSeverity.WARN,
            description=overlap_text(found) + (f". {ADVICE}" if blocks else "") if found.rows else None,
            metadata={**metadata, "worst": examples_table(experiment, store)},
        )

    return [contamination, no_overlap_with_benchmarks]


def overlap_rows(experiment: Experiment, store: ArtifactStore) -> list[Row]:
    """Return the overlaps of all training problems with all benchmarks: near duplicates first, then by share."""
    index = BenchmarkIndex(
        (name, row["problem_id"], row["problem"])
        for name in experiment.benchmarks
        for row in store.read(ArtifactKey("benchmark_problems", name))
    )
    training = store.read(ArtifactKey("training_problems"))
    found = index.overlaps((row["problem_id"], row["problem"]) for row in training)
    worst_first = sorted(found, key=lambda overlap: (overlap.kind != "near duplicate", -overlap.share))
    return [dataclasses.asdict(overlap) for overlap in worst_first]


def overlap_summary(rows: Sequence[Row]) -> dict[str, Any]:
    """Return how many pairs of each kind there are, and how many problems of either side they touch."""
    kinds = Counter(row["kind"] for row in rows)
    touched = {(row["benchmark"], row["problem_id"]) for row in rows}
    return {
        "near_duplicate_pairs": kinds["near duplicate"],
        "shared_13_gram_pairs": kinds["13-gram"],
        "overlapping_training_problems": len({row["training_id"] for row in rows}),
        "overlapping_benchmark_problems": len(touched),
        "by_benchmark": dict(sorted(Counter(benchmark for benchmark, _ in touched).items())),
    }


def overlap_text(found: Manifest) -> str:
    """Say in one sentence what overlaps."""
    where = ", ".join(f"{count} of {benchmark}" for benchmark, count in found.summary["by_benchmark"].items())
    return (
        f"{found.summary['overlapping_training_problems']} training problems overlap with benchmark problems ({where}): "
        f"{found.summary['near_duplicate_pairs']} near duplicates, {found.summary['shared_13_gram_pairs']} pairs that share 13 words in a row"
    )


def examples_table(experiment: Experiment, store: ArtifactStore) -> dg.MetadataValue:
    """Return the worst overlaps with both texts. A table shows them as they are, where Markdown would obey them."""
    training = {row["problem_id"]: row["problem"] for row in store.read(ArtifactKey("training_problems"))}
    texts = {
        name: {row["problem_id"]: row["problem"] for row in store.read(ArtifactKey("benchmark_problems", name))}
        for name in experiment.benchmarks
    }
    records = [
        dg.TableRecord(
            {
                "kind": row["kind"],
                "share": round(row["share"], 2),
                "training problem": _shown(row["training_id"], training),
                "benchmark problem": _shown(row["problem_id"], texts[row["benchmark"]]),
            }
        )
        for row in store.read(OVERLAPS)[:EXAMPLES]
    ]
    columns = ("kind", "share", "training problem", "benchmark problem")
    return dg.MetadataValue.table(records, dg.TableSchema([dg.TableColumn(name) for name in columns]))


def refuse_contaminated(experiment: Experiment, store: ArtifactStore) -> None:
    """Raise ArtifactError where training problems overlap with a benchmark's and the experiment file does not allow it.

    A blocking check stops its own run only: what reads training problems asks again.
    """
    found = store.current(Recipes(experiment, store).contamination())
    if found is None:
        raise ArtifactError(f"{OVERLAPS} is missing or older than the problems: materialize it first")
    if found.rows and experiment.contamination == "block":
        raise ArtifactError(f"{overlap_text(found)}. {ADVICE}")


def overlapping_problems(store: ArtifactStore, benchmark: str) -> set[str]:
    """Return the ids of a benchmark's problems that a training problem overlaps with."""
    return {row["problem_id"] for row in store.read(OVERLAPS) if row["benchmark"] == benchmark}


def _shown(problem_id: str, texts: Mapping[str, str], most: int = 300) -> str:
    flat = f"{problem_id}: {' '.join(texts[problem_id].split())}"
    return flat if len(flat) <= most else f"{flat[:most]} …"
