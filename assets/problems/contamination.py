"""Contamination: which training problems overlap with benchmark problems, shown with the worst pairs."""

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence

import dagster as dg

from assets.checking import counted, judged
from assets.materializing import ArtifactContents, asset_of, materialize
from assets.problems.contamination_gate import ADVICE, Overlaps
from assets.problems.fingerprints import Contamination
from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.experiment.keys import BENCHMARK_PROBLEMS, CONTAMINATION, TRAINING_PROBLEMS, ArtifactKey
from gsr_dagster.method.contamination import BenchmarkIndex
from gsr_dagster.method.rows import Row
from resources.store.artifacts import ArtifactStore

EXAMPLES = 10
REPORTED = "take other training problems, or look at the students' scores of clean and of overlapping problems apart"


def contamination_assets(experiment: Experiment) -> list[dg.AssetsDefinition | dg.AssetChecksDefinition]:
    """Return the asset that compares training problems with all benchmarks, and its check."""
    if experiment.training_problems is None:
        return []
    step = Contamination(experiment)

    @asset_of(step, group_name="problems", kinds={"numpy"})
    def contamination(
        context: dg.AssetExecutionContext, store: dg.ResourceParam[ArtifactStore]
    ) -> dg.MaterializeResult:
        """Every pair of a training and a benchmark problem that overlap, the worst first. No row is best."""
        return materialize(context, store, step.recipe(store), lambda: find_overlaps(experiment, store))

    @dg.asset_check(asset=contamination, blocking=True)
    def no_overlap_with_benchmarks(store: dg.ResourceParam[ArtifactStore]) -> dg.AssetCheckResult:
        """No training problem overlaps with a benchmark's. Blocks, unless the experiment file says `contamination: report`."""
        overlaps = store.summary(CONTAMINATION, Overlaps)
        blocks = experiment.contamination == "block"
        training = store.existing(TRAINING_PROBLEMS).rows
        benchmarks = sum(store.existing(ArtifactKey(BENCHMARK_PROBLEMS, name)).rows for name in experiment.benchmarks)
        return judged(
            not store.existing(CONTAMINATION).rows,
            f"{counted(training, 'training problem')} and {counted(benchmarks, 'benchmark problem')} compared, {overlaps}",
            f"none may overlap (contamination: {experiment.contamination})",
            ADVICE if blocks else REPORTED,
            dg.AssetCheckSeverity.ERROR if blocks else dg.AssetCheckSeverity.WARN,
            {
                **{name: value for name, value in vars(overlaps).items() if isinstance(value, int)},
                "worst": examples_table(experiment, store),
            },
        )

    return [contamination, no_overlap_with_benchmarks]


def find_overlaps(experiment: Experiment, store: ArtifactStore) -> ArtifactContents:
    """Return the overlaps of all training problems with all benchmarks, with their counts."""
    rows = overlap_rows(experiment, store)
    return ArtifactContents(rows, summary=dataclasses.asdict(count_overlaps(rows)))


def overlap_rows(experiment: Experiment, store: ArtifactStore) -> list[Row]:
    """Return the overlaps of all training problems with all benchmarks: near duplicates first, then by share."""
    index = BenchmarkIndex(
        (name, row["problem_id"], row["problem"])
        for name in experiment.benchmarks
        for row in store.read(ArtifactKey(BENCHMARK_PROBLEMS, name))
    )
    training = store.read(TRAINING_PROBLEMS)
    found = index.overlaps((row["problem_id"], row["problem"]) for row in training)
    worst_first = sorted(found, key=lambda overlap: (overlap.kind != "near duplicate", -overlap.share))
    return [dataclasses.asdict(overlap) for overlap in worst_first]


def count_overlaps(rows: Sequence[Row]) -> Overlaps:
    """Return how many pairs of each kind there are, and how many problems of either side they touch."""
    kinds = Counter(row["kind"] for row in rows)
    touched = {(row["benchmark"], row["problem_id"]) for row in rows}
    return Overlaps(
        near_duplicate_pairs=kinds["near duplicate"],
        shared_13_gram_pairs=kinds["13-gram"],
        overlapping_training_problems=len({row["training_id"] for row in rows}),
        overlapping_benchmark_problems=len(touched),
        by_benchmark=dict(sorted(Counter(benchmark for benchmark, _ in touched).items())),
    )


def examples_table(experiment: Experiment, store: ArtifactStore) -> dg.MetadataValue:
    """Return the worst overlaps with both texts. A table shows them as they are, where Markdown would obey them."""
    training = {row["problem_id"]: row["problem"] for row in store.read(TRAINING_PROBLEMS)}
    texts = {
        name: {row["problem_id"]: row["problem"] for row in store.read(ArtifactKey(BENCHMARK_PROBLEMS, name))}
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
        for row in store.read(CONTAMINATION)[:EXAMPLES]
    ]
    columns = ("kind", "share", "training problem", "benchmark problem")
    return dg.MetadataValue.table(records, dg.TableSchema([dg.TableColumn(name) for name in columns]))


def _shown(problem_id: str, texts: Mapping[str, str], most: int = 300) -> str:
    flat = f"{problem_id}: {' '.join(texts[problem_id].split())}"
    return flat if len(flat) <= most else f"{flat[:most]} …"
