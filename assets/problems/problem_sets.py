"""Problems: those of the benchmarks, and those that students learn from."""

import dataclasses
from dataclasses import dataclass

import dagster as dg

from assets.checking import counted, judged
from assets.grading import references
from assets.materializing import ArtifactContents, asset_of, materialize
from assets.problems.fingerprints import BenchmarkProblems, TrainingProblems
from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.experiment.keys import TRAINING_PROBLEMS
from gsr_dagster.experiment.partitions import Partitions
from resources.grading.grader import Grader
from resources.problems.sources import Problems, load_problems
from resources.store.artifacts import ArtifactStore
from resources.store.manifests import Manifest, Recipe


@dataclass(frozen=True)
class ProblemCounts:
    """How many problems of the source were left out, by the reason, and the ids of those whose gold cannot be read.

    ``golds_read_from_solutions`` is of how many the answer was a whole solution; 0 in an
    artifact from before that was counted.
    """

    left_out: dict[str, int]
    unreadable_golds: list[str]
    golds_read_from_solutions: int = 0


def problem_assets(
    experiment: Experiment, partitions: Partitions
) -> list[dg.AssetsDefinition | dg.AssetChecksDefinition]:
    """Return the assets of the group "problems" that hold problems, with their checks."""
    step = BenchmarkProblems(experiment)

    @asset_of(step, partitions_def=partitions.benchmark, group_name="problems", kinds={"parquet"})
    def benchmark_problems(
        context: dg.AssetExecutionContext, store: dg.ResourceParam[ArtifactStore], grader: Grader
    ) -> dg.MaterializeResult:
        """The problems of a benchmark, each with its answer."""
        name = context.partition_key
        problem_set = experiment.benchmarks[name]
        recipe = step.recipe(store, name)
        return materialize(context, store, recipe, lambda: with_counts(grader, load_problems(name, problem_set)))

    @dg.asset_check(asset=benchmark_problems, partitions_def=partitions.benchmark)
    def problems_sound(
        context: dg.AssetCheckExecutionContext, store: dg.ResourceParam[ArtifactStore]
    ) -> dg.AssetCheckResult:
        """There are as many problems as were asked for, none of the source was left out, and every gold can be read."""
        key = step.key(context.partition_key)
        return soundness(store.existing(key), store.summary(key, ProblemCounts))

    of_benchmarks = [benchmark_problems, problems_sound]
    return of_benchmarks if experiment.training_problems is None else [*of_benchmarks, *_training_assets(experiment)]


def _training_assets(experiment: Experiment) -> list[dg.AssetsDefinition | dg.AssetChecksDefinition]:
    step = TrainingProblems(experiment)

    @asset_of(step, group_name="problems", kinds={"parquet"})
    def training_problems(
        context: dg.AssetExecutionContext, store: dg.ResourceParam[ArtifactStore], grader: Grader
    ) -> dg.MaterializeResult:
        """The problems students learn from. A text that stands in any benchmark is left out."""
        recipe = step.recipe(store)
        return materialize(context, store, recipe, lambda: load_training_problems(step, store, recipe, grader))

    @dg.asset_check(asset=training_problems)
    def training_problems_sound(store: dg.ResourceParam[ArtifactStore]) -> dg.AssetCheckResult:
        """There are as many problems as were asked for, none of the source was left out, and every gold can be read."""
        return soundness(store.existing(TRAINING_PROBLEMS), store.summary(TRAINING_PROBLEMS, ProblemCounts))

    return [training_problems, training_problems_sound]


def load_training_problems(
    step: TrainingProblems, store: ArtifactStore, recipe: Recipe, grader: Grader
) -> ArtifactContents:
    """Return the training problems, without those whose text stands in a benchmark."""
    held_out = {row["problem"] for key in recipe.upstream for row in store.read(key)}
    return with_counts(grader, load_problems("training", step.problem_set, excluded=held_out))


def with_counts(grader: Grader, problems: Problems) -> ArtifactContents:
    """Return the problems with what was left out, and with the ids of those whose gold is not readable."""
    answers = [(row["problem_id"], row["answer"]) for row in problems.rows]
    grades = grader.grade("golds", references(problems.rows), answers)
    unreadable = [
        problem_id
        for (problem_id, _), grade in zip(answers, grades, strict=True)
        if grade.verdict == "gold unparseable"
    ]
    counts = ProblemCounts(problems.left_out, unreadable, problems.golds_read_from_solutions)
    return ArtifactContents(problems.rows, summary=dataclasses.asdict(counts))


def soundness(manifest: Manifest, counts: ProblemCounts) -> dg.AssetCheckResult:
    """Return an error where problems are fewer or more than were asked for, else a warning where some are unfit.

    Unfit are those that the source has empty or twice, which were left out, and those
    whose gold cannot be read, which are not scored. Golds that were read from whole
    solutions are said, and are no fault.
    """
    wanted = manifest.wanted.get("problems") or manifest.rows
    left_out = {reason: n for reason, n in counts.left_out.items() if reason != "in a benchmark"}
    unreadable, read = counts.unreadable_golds, counts.golds_read_from_solutions
    reasons = f" ({', '.join(f'{n} for {reason}' for reason, n in left_out.items())})" if left_out else ""
    from_solutions = f", {read:,} golds read from whole solutions" if read else ""
    too_few = manifest.rows != wanted
    return judged(
        not (too_few or left_out or unreadable),
        f"{manifest.rows:,} of {counted(wanted, 'problem')} asked for, {sum(left_out.values()):,} of the source left "
        f"out{reasons}, {len(unreadable):,} with a gold that cannot be read and so not scored{from_solutions}",
        "all should be there, none left out, and every gold readable",
        "set `problems` to what there is, or name a source that has as many" if too_few else "mend them in the source",
        dg.AssetCheckSeverity.ERROR if too_few else dg.AssetCheckSeverity.WARN,
        {
            "problems": manifest.rows,
            "left_out": left_out,
            "unreadable_golds": unreadable,
            "golds_read_from_solutions": read,
        },
    )
